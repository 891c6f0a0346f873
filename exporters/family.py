"""What every family of encoders has in common, and in what they differ (see families/)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["tanh", "relu", "gelu"]
TensorShape = tuple[str | int, ...]  # in the words of `Sizes`, or as it is

# The shape of every weight, by our name of the unit: of the tables, of each layer, and of the rest of the model.
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
_WEIGHTS: dict[str, TensorShape] = {
    **_TABLES,
    **_LAYER,
    "embedding_norm": ("embedding",),
    "projection": ("hidden", "embedding"),
    "pooler": ("hidden", "hidden"),
    "classifier": ("labels", "hidden"),
}


@dataclass(frozen=True)
class Family:
    """Names of tensors and of config values in a family's checkpoints, and how its model differs from others.

    `prefixes` are what the names of its classes in transformers begin with; they end with those of a head (heads.py).
    `units` maps ours to the checkpoint's, with {layer} for the number of a layer; a unit that a family never has is
    left out. `sizes` maps words of `Sizes` to keys of config.json, or to a number where that has none; `supported` are
    the values that keys of it must have, if they are there. The head is a dense unit, ours is called pooler since
    BERT's is, then an `activation`, then the classifier. `token_types` says whether the model tells types apart,
    `gives_types`, from config.json and tokenizer_config.json, whether its tokenizer does.

    Where attention goes by the distance of tokens, `relative` maps our names of all its tensors to the checkpoint's and
    their shapes, and `matrix` makes (outputs, inputs), by our name, of what stands there.
    """

    model_types: tuple[str, ...]
    prefixes: tuple[str, ...]
    units: Mapping[str, str]
    activation: Activation
    token_types: bool
    sizes: Mapping[str, str | int] = field(
        default_factory=lambda: {
            "layers": "num_hidden_layers",
            "heads": "num_attention_heads",
            "hidden": "hidden_size",
            "ffn": "intermediate_size",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
            "types": "type_vocab_size",
        }
    )
    supported: Mapping[str, Any] = field(
        default_factory=lambda: {"hidden_act": "gelu", "position_embedding_type": "absolute"}
    )
    first_position: Callable[[Mapping[str, Any]], int] = lambda _: 0
    gives_types: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] = lambda config, tokenizer_config: True
    relative: Mapping[str, tuple[str, TensorShape]] = field(default_factory=dict)
    matrix: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] = lambda _, tensor: tensor

    def tensors(self, layers: int, projected: bool) -> Iterator[tuple[str, str, TensorShape]]:
        """Yield our name, the checkpoint's name and the shape there of every tensor of a model.

        `projected` says that the embeddings are narrower than the layers and a unit between them makes up for it.
        """
        yield from self._tensors((*_TABLES, "embedding_norm", *(["projection"] if projected else [])))
        for layer in range(layers):
            yield from self._tensors(_LAYER, f"{layer}.")
            for ours, (theirs, shape) in self.relative.items():
                yield f"{layer}.{ours}", theirs.format(layer=layer), shape
        yield from self._tensors(("pooler", "classifier"))

    def _tensors(self, units: Iterable[str], layer: str = "") -> Iterator[tuple[str, str, TensorShape]]:
        for unit in units:
            if unit not in self.units:
                continue
            theirs, shape = self.units[unit].format(layer=layer.rstrip(".")), _WEIGHTS[unit]
            yield unit if unit in _TABLES else f"{layer}{unit}.weight", f"{theirs}.weight", shape
            if unit not in _TABLES:
                yield f"{layer}{unit}.bias", f"{theirs}.bias", shape[:1]  # a number for each output
