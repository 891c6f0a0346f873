"""What every family of encoders has in common, and in what they differ (see families/)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TensorShape = tuple[str | int, ...]  # in the words of `Sizes`, or as it is

# The shape of every weight, by our name of the unit. Tables are read row by row, so they have no bias.
_TABLES: dict[str, TensorShape] = {
    "word": ("vocabulary", "embedding"),
    "position": ("positions", "embedding"),
    "type": ("types", "embedding"),
    "distance_bias": ("distances", "heads"),
    "distance": ("distances", "hidden"),
}
_LAYER: dict[str, TensorShape] = {
    **dict.fromkeys(("q", "k", "v", "o", "distance_k", "distance_q"), ("hidden", "hidden")),
    "attention_norm": ("hidden",),
    **dict.fromkeys(("ffn_in", "ffn_gate"), ("ffn", "hidden")),
    "ffn_out": ("hidden", "ffn"),
    "ffn_norm": ("hidden",),
}
_BEFORE_LAYERS: dict[str, TensorShape] = {
    **_TABLES,
    "embedding_norm": ("embedding",),
    "projection": ("hidden", "embedding"),
    "distance_norm": ("hidden",),
}
_HEAD: dict[str, TensorShape] = {
    "pooler": ("hidden", "hidden"),
    "head_norm": ("hidden",),
    "classifier": ("labels", "hidden"),
}
_AFTER_LAYERS: dict[str, TensorShape] = {"final_norm": ("hidden",), **_HEAD}

# Keys of config.json, by words of `Sizes`, as most families have them.
CONFIG_KEYS: Mapping[str, str | int] = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "hidden_size",
    "ffn": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
}


# A decoder's tokens see those before them alone, and relative positions act within attention.
ENCODER: Mapping[str, tuple[Any, ...]] = {
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "position_embedding_type": ("absolute", None),
}


class Part(NamedTuple):
    """The name of a tensor that several units of like size share, and which of its `parts` a unit is: the rows from
    `place` parts on, counted from 0."""

    name: str
    place: int
    parts: int


@dataclass(frozen=True)
class Sizes:
    """The numbers that fix a model's shapes, each a count; 0 for what a model does not have.

    `distances` are the rows of a table of how far apart two tokens are; `groups` how many sets of weights there are
    where layers share them.
    """

    layers: int
    heads: int
    hidden: int
    ffn: int
    embedding: int
    vocabulary: int
    positions: int
    types: int
    labels: int
    distances: int = 0
    groups: int = 0

    @property
    def head_size(self) -> int:
        """The dimensions of one head."""
        return self.hidden // self.heads


@dataclass(frozen=True)
class ByDistance:
    """XLNet's attention, by how far apart tokens are: no further than `longest_distance`, where there is one."""

    longest_distance: int | None


@dataclass(frozen=True)
class Biased:
    """MPNet's: what a head adds to the score of two tokens for how far apart they are, the same in all layers."""


@dataclass(frozen=True)
class Rotary:
    """ModernBERT's: query and key are turned by their positions.

    For each layer of the model, by its place: `thetas` are the slowest turns' lengths, and `windows` how far apart two
    tokens may be to see each other, None for any distance.
    """

    thetas: tuple[float, ...]
    windows: tuple[int | None, ...]


@dataclass(frozen=True)
class Disentangled:
    """DeBERTa's: the score of two tokens depends on what they are and, in `terms`, on how far apart they are.

    The terms are c2p, of a query with the key of a distance, and p2c, of a key with the query of a distance. A distance
    is cut to `span` at most, and before that, where there are `buckets`, rounded: up to half of them it stays, beyond
    that it grows as the logarithm, so that `longest` - 1 takes the last one.
    """

    terms: tuple[str, ...]
    span: int
    buckets: int | None
    longest: int


# How a model's attention knows where tokens stand; None where their embeddings alone say it.
Attention = ByDistance | Biased | Rotary | Disentangled | None


@dataclass(frozen=True)
class Variant:
    """What config.json says of a model that differs within its family.

    `absent` are those of the family's units, or of their tensors, that it does not have; `distances` as in `Sizes`. The
    head reads the first token of the last layer or, with `mean_pooling`, the mean of all.
    """

    attention: Attention = None
    absent: frozenset[str] = frozenset()
    distances: int = 0
    mean_pooling: bool = False


# Reads what differs: of the folder, for messages, its config.json, and the counts that are read of it by then.
ReadVariant = Callable[[Path, Mapping[str, Any], Mapping[str, int]], Variant]


@dataclass(frozen=True)
class Family:
    """Names of tensors and of config values in a family's checkpoints, and how its model differs from others.

    `prefixes` are what the names of its classes in transformers begin with; they end with those of a head (heads.py).
    `units` maps ours to the checkpoint's, with {layer} for the number of a layer and {group} for that of the weights
    that layers share; a unit that a family never has is left out. `sizes` maps words of `Sizes` to keys of config.json,
    or to a number where that has none; `aliases` are other names of its keys, `supported` the values that keys of it
    may have, if they are there; what else differs within the family is what `variant` reads. The head of text
    classification is a dense unit, ours is called pooler since BERT's is, then an activation, in some a norm, then the
    classifier; `token_units` and `answer_units` are what the heads for tags and for answers have in its place, and
    `suffixes` end the names of classes where those of other families end otherwise. Activations have a key, that of
    the head `head_activation` where there is none for it. `token_types` says whether the model tells types apart,
    `gives_types`, from config.json and tokenizer_config.json, whether its tokenizer gave them when it was trained; None
    if it still does what it did. With `positions_skip_padding` positions are counted without the tokens that are
    padding, from the number of that token on: `padding`, or what config.json says. Padding on one of the
    `padding_sides` does not change an answer.

    With `pre_norm` the norms of a layer stand before its attention and its FFN, and the states that are added to are
    not normed; a model's first layer then has no attention norm, since its input comes from one. An FFN with a gate is
    the activation of ffn_in times ffn_gate.

    Where XLNet's attention goes by the distance of tokens, `relative` maps our names of all its tensors to the
    checkpoint's and their shapes, and `matrix` makes (outputs, inputs), by our name, of what stands there.
    """

    model_types: tuple[str, ...]
    prefixes: tuple[str, ...]
    units: Mapping[str, str | Part]
    head_activation: str
    token_types: bool
    token_units: Mapping[str, str | Part] = field(default_factory=lambda: {"classifier": "classifier"})
    answer_units: Mapping[str, str | Part] = field(default_factory=lambda: {"classifier": "qa_outputs"})
    suffixes: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str | int] = field(default_factory=lambda: CONFIG_KEYS)
    aliases: Mapping[str, str] = field(default_factory=dict)
    supported: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: ENCODER)
    variant: ReadVariant = lambda *_: Variant()
    activation_key: str = "hidden_act"
    activation: str = "gelu"
    head_activation_key: str | None = None
    norm_eps_key: str | None = "layer_norm_eps"
    norm_eps: float = 1e-12
    pre_norm: bool = False
    positions_skip_padding: bool = False
    padding: int | None = None
    gives_types: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None
    padding_sides: tuple[str, ...] = ("right",)
    relative: Mapping[str, tuple[str, TensorShape]] = field(default_factory=dict)
    matrix: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] = lambda _, tensor: tensor

    def with_head(self, units: Mapping[str, str | Part]) -> "Family":
        """Return this family for models that have another head, of these units alone."""
        kept = {unit: name for unit, name in self.units.items() if unit not in _HEAD}
        return replace(self, units={**kept, **units})

    @property
    def base(self) -> str:
        """The name of the base model, with which the names of its tensors begin."""
        return self.module("word").partition(".")[0]

    def module(self, unit: str) -> str:
        """Return the checkpoint's name of the module that a unit is, or of the one that it is a part of."""
        theirs = self.units[unit]
        return theirs.name if isinstance(theirs, Part) else theirs

    def tensors(
        self, sizes: Sizes, numbers: Sequence[int], absent: Collection[str] = ()
    ) -> Iterator[tuple[str, str | Part, tuple[int, ...]]]:
        """Yield our name, the checkpoint's name and our shape of every tensor of a model of some sizes.

        `numbers` are those that its layers have in our names; `absent` as in `Variant`.
        """
        absent = {*absent, *(() if sizes.types else ("type",))}
        layer = list(self._tensors(_LAYER, absent))
        layer += [(ours, theirs, shape) for ours, (theirs, shape) in self.relative.items()]

        # The order is that in which they lie in a weight file.
        named = list(self._tensors(_BEFORE_LAYERS, absent))
        for place, number in enumerate(numbers):
            # As transformers counts, in floats.
            group = int(place / (len(numbers) / sizes.groups)) if sizes.groups else place
            for ours, theirs, shape in layer:
                if self.pre_norm and place == 0 and ours.startswith("attention_norm."):
                    continue
                named.append((f"{number}.{ours}", _numbered(theirs, place, group), shape))
        for ours, theirs, shape in (*named, *self._tensors(_AFTER_LAYERS, absent)):
            yield ours, theirs, tuple(one if isinstance(one, int) else getattr(sizes, one) for one in shape)

    def _tensors(
        self, shapes: Mapping[str, TensorShape], absent: Collection[str]
    ) -> Iterator[tuple[str, str | Part, TensorShape]]:
        """Yield the weights of those units that the family has, and their biases, without those that are absent."""
        for unit, shape in shapes.items():
            theirs = self.units.get(unit)
            if theirs is None or unit in absent:
                continue
            if unit in _TABLES:
                yield unit, _tensor(theirs, "weight"), shape
                continue
            yield f"{unit}.weight", _tensor(theirs, "weight"), shape
            if f"{unit}.bias" not in absent:
                yield f"{unit}.bias", _tensor(theirs, "bias"), shape[:1]  # a number for each output


def _tensor(module: str | Part, kind: str) -> str | Part:
    return module._replace(name=f"{module.name}.{kind}") if isinstance(module, Part) else f"{module}.{kind}"


def _numbered(name: str | Part, layer: int, group: int) -> str | Part:
    if isinstance(name, Part):
        return name._replace(name=name.name.format(layer=layer, group=group))
    return name.format(layer=layer, group=group)
