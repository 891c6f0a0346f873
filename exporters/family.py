"""What every family of encoders has in common, and in what they differ (see families/)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["tanh", "relu", "gelu"]
TensorShape = tuple[str | int, ...]  # in the words of `Sizes`, or as it is

# The shape of every tensor by our name of the unit: of a layer, and of the model.
_LAYER: dict[str, dict[str, TensorShape]] = {
    "q": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "k": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "v": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "o": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "attention_norm": {"weight": ("hidden",), "bias": ("hidden",)},
    "ffn_in": {"weight": ("ffn", "hidden"), "bias": ("ffn",)},
    "ffn_out": {"weight": ("hidden", "ffn"), "bias": ("hidden",)},
    "ffn_norm": {"weight": ("hidden",), "bias": ("hidden",)},
}
_MODEL: dict[str, dict[str, TensorShape]] = {
    "word": {"weight": ("vocabulary", "embedding")},
    "position": {"weight": ("positions", "embedding")},
    "type": {"weight": ("types", "embedding")},
    "embedding_norm": {"weight": ("embedding",), "bias": ("embedding",)},
    "projection": {"weight": ("hidden", "embedding"), "bias": ("hidden",)},
    "pooler": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "classifier": {"weight": ("labels", "hidden"), "bias": ("labels",)},
}
EMBEDDINGS = ("word", "position", "type")


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
        for unit in ("word", "position", "type", "embedding_norm", *(["projection"] if projected else [])):
            yield from self._tensors(unit, unit, _MODEL)
        for layer in range(layers):
            for unit in _LAYER:
                yield from self._tensors(f"{layer}.{unit}", unit, _LAYER, layer)
            for ours, (theirs, shape) in self.relative.items():
                yield f"{layer}.{ours}", theirs.format(layer=layer), shape
        for unit in ("pooler", "classifier"):
            yield from self._tensors(unit, unit, _MODEL)

    def _tensors(
        self, ours: str, unit: str, shapes: dict[str, dict[str, TensorShape]], layer: int = 0
    ) -> Iterator[tuple[str, str, TensorShape]]:
        if unit in self.units:
            for part, shape in shapes[unit].items():
                name = ours if unit in EMBEDDINGS else f"{ours}.{part}"
                yield name, f"{self.units[unit].format(layer=layer)}.{part}", shape
