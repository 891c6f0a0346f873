"""What every family of encoders has in common, and in what they differ (see families/)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

TensorShape = tuple[str | int, ...]  # in the words of `Sizes`, or as it is

# The shape of every weight, by our name of the unit. Tables are read row by row, so they have no bias.
_TABLES: dict[str, TensorShape] = {
    "word": ("vocabulary", "embedding"),
    "position": ("positions", "embedding"),
    "type": ("types", "embedding"),
}
_LAYER: dict[str, TensorShape] = {
    **dict.fromkeys(("q", "k", "v", "o"), ("hidden", "hidden")),
    "attention_norm": ("hidden",),
    "ffn_in": ("ffn", "hidden"),
    "ffn_out": ("hidden", "ffn"),
    "ffn_norm": ("hidden",),
}
_BEFORE_LAYERS: dict[str, TensorShape] = {
    **_TABLES,
    "embedding_norm": ("embedding",),
    "projection": ("hidden", "embedding"),
}
_HEAD: dict[str, TensorShape] = {"pooler": ("hidden", "hidden"), "classifier": ("labels", "hidden")}

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


@dataclass(frozen=True)
class Sizes:
    """The numbers that fix a model's shapes, each a count; 0 for what a model does not have."""

    layers: int
    heads: int
    hidden: int
    ffn: int
    embedding: int
    vocabulary: int
    positions: int
    types: int
    labels: int

    @property
    def head_size(self) -> int:
        """The dimensions of one head."""
        return self.hidden // self.heads


@dataclass(frozen=True)
class Family:
    """Names of tensors and of config values in a family's checkpoints, and how its model differs from others.

    `prefixes` are what the names of its classes in transformers begin with; they end with those of a head (heads.py).
    `units` maps ours to the checkpoint's, with {layer} for the number of a layer; a unit that a family never has is
    left out. Those of the head are for text classification, `token_units` and `answer_units` what the heads for tags
    and for answers have in their place; `suffixes` end the names of classes where those of other families end
    otherwise. `sizes` maps words of `Sizes` to keys of config.json, or to a number where that
    has none; `aliases` are
    other names of its keys, `supported` the values that keys of it may have, if they are there. The head is a dense
    unit, ours is called pooler since BERT's is, then an activation, then the classifier. Activations have a key, that
    of the head `head_activation` where there is none for it. `token_types` says whether the model tells types apart,
    `gives_types`, from config.json and tokenizer_config.json, whether its tokenizer gave them when it was trained; None
    if it still does what it did. With `positions_skip_padding` positions are counted without the tokens that are
    padding, from the number of that token on. Padding on one of the `padding_sides` does not change an answer.

    Where attention goes by the distance of tokens, `relative` maps our names of all its tensors to the checkpoint's and
    their shapes, and `matrix` makes (outputs, inputs), by our name, of what stands there.
    """

    model_types: tuple[str, ...]
    prefixes: tuple[str, ...]
    units: Mapping[str, str]
    head_activation: str
    token_types: bool
    token_units: Mapping[str, str] = field(default_factory=lambda: {"classifier": "classifier"})
    answer_units: Mapping[str, str] = field(default_factory=lambda: {"classifier": "qa_outputs"})
    suffixes: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str | int] = field(default_factory=lambda: CONFIG_KEYS)
    aliases: Mapping[str, str] = field(default_factory=dict)
    supported: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: ENCODER)
    activation_key: str = "hidden_act"
    head_activation_key: str | None = None
    has_layer_norm_eps: bool = True
    positions_skip_padding: bool = False
    gives_types: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None
    padding_sides: tuple[str, ...] = ("right",)
    relative: Mapping[str, tuple[str, TensorShape]] = field(default_factory=dict)
    matrix: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] = lambda _, tensor: tensor

    def with_head(self, units: Mapping[str, str]) -> "Family":
        """Return this family for models that have another head, of these units alone."""
        kept = {unit: name for unit, name in self.units.items() if unit not in _HEAD}
        return replace(self, units={**kept, **units})

    @property
    def base(self) -> str:
        """The name of the base model, with which the names of its tensors begin."""
        return self.units["word"].partition(".")[0]

    def tensors(self, sizes: Sizes, numbers: Sequence[int]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Yield our name, the checkpoint's name and the shape there of every tensor of a model of some sizes.

        `numbers` are those that its layers have in our names.
        """
        absent = {"type"} if not sizes.types else set()
        if sizes.embedding == sizes.hidden:
            absent.add("projection")  # it makes up for embeddings that are narrower than the layers
        relative = [(ours, theirs, shape) for ours, (theirs, shape) in self.relative.items()]
        layer = [*self._tensors(_LAYER), *relative]

        # The order is that in which they lie in a weight file.
        named = list(self._tensors({unit: shape for unit, shape in _BEFORE_LAYERS.items() if unit not in absent}))
        for place, number in enumerate(numbers):
            named += [(f"{number}.{ours}", theirs.format(layer=place), shape) for ours, theirs, shape in layer]
        for ours, theirs, shape in (*named, *self._tensors(_HEAD)):
            yield ours, theirs, tuple(one if isinstance(one, int) else getattr(sizes, one) for one in shape)

    def _tensors(self, shapes: Mapping[str, TensorShape]) -> Iterator[tuple[str, str, TensorShape]]:
        """Yield the weights of those units that the family has, and their biases."""
        for unit, shape in shapes.items():
            theirs = self.units.get(unit)
            if theirs and unit in _TABLES:
                yield unit, f"{theirs}.weight", shape
            elif theirs:
                yield f"{unit}.weight", f"{theirs}.weight", shape
                yield f"{unit}.bias", f"{theirs}.bias", shape[:1]  # a number for each output
