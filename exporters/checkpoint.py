"""A checkpoint in memory: its tensors by our names, its sizes and its task. Knows nothing about files or graphs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgebert.elastic_manifest import ElasticManifest
from edgebert.exporters.family import Attention, Family, Sizes
from edgebert.exporters.sentence_layers import SentenceLayers
from edgebert.subnet import Subnet
from edgebert.tasks.task import Task

Array = NDArray[np.float32]

# Units, with their weights and biases, of which a head and a neuron have their share.
_BY_HEAD = tuple(f"{unit}." for unit in ("q", "k", "v", "r", "distance_k", "distance_q"))
_BY_NEURON = ("ffn_in.", "ffn_gate.")


@dataclass(frozen=True)
class Settings:
    """What decides a model's forward pass beside its sizes; activations are named as in activations.py.

    The first token of a text takes row `first_position` of the position table. Tokens that are `padding` take the row
    before it and are not counted, where there is one. With `mean_pooling` the head of a text reads the mean of all
    tokens.
    """

    layer_norm_eps: float
    activation: str
    head_activation: str
    first_position: int
    padding: int | None
    attention: Attention
    mean_pooling: bool


@dataclass(frozen=True)
class Checkpoint:
    """A fine-tuned model: float32 tensors by our names (see family.py), as (outputs, inputs).

    `elastic` is None for a model that is not. `layers` are the numbers that its layers have in names and slices: those
    they had in the model they came from. `sentence` is what stands behind a network that embeds texts.
    """

    path: Path
    family: Family
    sizes: Sizes
    elastic: ElasticManifest | None
    layers: tuple[int, ...]
    settings: Settings
    task: Task
    tensors: dict[str, Array]
    sentence: SentenceLayers | None = None

    @property
    def max_length(self) -> int:
        """The most tokens that the model has positions for."""
        return self.sizes.positions - self.settings.first_position

    @property
    def token_types(self) -> bool:
        """Whether the model tells the two texts of a pair apart by token types."""
        return self.family.token_types and self.sizes.types > 1


def parameters_of(subnet: Subnet, source: Checkpoint) -> int:
    """Return how many parameters a sub-network of a checkpoint has, counted from its tensors."""
    kept = {str(layer): place for place, layer in enumerate(subnet.layers)}
    sizes = source.sizes
    counted: dict[int, int] = {}
    for name, tensor in source.tensors.items():
        layer, _, rest = name.partition(".")
        if layer.isdecimal() and layer not in kept:
            continue

        if layer not in kept:
            # A bias of each head serves all layers.
            size = tensor.size // sizes.heads * max(subnet.heads) if name == "distance_bias" else tensor.size
        elif rest.startswith(_BY_HEAD) or rest == "o.weight":
            size = tensor.size // sizes.heads * subnet.heads[kept[layer]]
        elif rest.startswith(_BY_NEURON) or rest == "ffn_out.weight":
            size = tensor.size // sizes.ffn * subnet.ffn[kept[layer]]
        else:
            # Norms, and biases of what is added to all hidden dimensions.
            size = tensor.size
        # What layers share counts once, as wide as the widest of them reads it.
        counted[id(tensor)] = max(size, counted.get(id(tensor), 0))
    return sum(counted.values())
