"""What is the same in every family of encoders, and the questions on which families differ (see families/)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Activation = Literal["tanh", "relu", "gelu"]

# The shape of every tensor in the words of `Sizes`, by our name of the unit: of a layer, and of the model.
_LAYER: dict[str, dict[str, tuple[str, ...]]] = {
    "q": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "k": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "v": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "o": {"weight": ("hidden", "hidden"), "bias": ("hidden",)},
    "attention_norm": {"weight": ("hidden",), "bias": ("hidden",)},
    "ffn_in": {"weight": ("ffn", "hidden"), "bias": ("ffn",)},
    "ffn_out": {"weight": ("hidden", "ffn"), "bias": ("hidden",)},
    "ffn_norm": {"weight": ("hidden",), "bias": ("hidden",)},
}
_MODEL: dict[str, dict[str, tuple[str, ...]]] = {
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

    `units` maps ours to the checkpoint's, with {layer} for the number of a layer; a unit that a family never has is
    left out. `sizes` maps words of `Sizes` to keys of config.json. The head is a dense unit, ours is called pooler
    since BERT's is, then an `activation`, then the classifier.
    """

    model_types: tuple[str, ...]
    architectures: tuple[str, ...]
    units: Mapping[str, str]
    activation: Activation
    token_types: bool
    sizes: Mapping[str, str] = field(
        default_factory=lambda: {
            "layers": "num_hidden_layers",
            "heads": "num_attention_heads",
            "hidden": "hidden_size",
            "ffn": "intermediate_size",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
        }
    )
    ffn_activation: str = "hidden_act"
    first_position: Callable[[Mapping[str, Any]], int] = lambda _: 0

    def tensors(self, layers: int, projected: bool) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield our name, the checkpoint's name and the shape, in the words of `Sizes`, of every tensor of a model.

        `projected` says that the embeddings are narrower than the layers and a unit between them makes up for it.
        """
        for unit in ("word", "position", "type", "embedding_norm", *(["projection"] if projected else [])):
            yield from self._tensors(unit, unit, _MODEL)
        for layer in range(layers):
            for unit in _LAYER:
                yield from self._tensors(f"{layer}.{unit}", unit, _LAYER, layer)
        for unit in ("pooler", "classifier"):
            yield from self._tensors(unit, unit, _MODEL)

    def _tensors(
        self, ours: str, unit: str, shapes: dict[str, dict[str, tuple[str, ...]]], layer: int = 0
    ) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        if unit in self.units:
            for part, shape in shapes[unit].items():
                name = ours if unit in EMBEDDINGS else f"{ours}.{part}"
                yield name, f"{self.units[unit].format(layer=layer)}.{part}", shape
