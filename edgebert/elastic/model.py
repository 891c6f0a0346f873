"""What training, scoring and saving need of a model, elastic or run as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from typing_extensions import Self

from edgebert.elastic.model_config import ModelConfig
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class ModelOutput:
    """What a sub-network computes: logits (batch, labels), and hidden states, each (batch, length, hidden).

    `hidden` holds the embeddings' output, then the output of each kept layer.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]


class Model(Protocol):
    """A torch module with sub-networks; everything but the first five members is `torch.nn.Module`'s own."""

    training: bool

    @property
    def config(self) -> ModelConfig:
        """The sizes of the whole model."""

    def subnet(self) -> Subnet:
        """Return the sub-network that is the whole model."""

    def __call__(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> ModelOutput:
        """Run a sub-network on token ids, attention mask and token types, each (batch, length) of integers."""

    def freeze_embeddings(self) -> None:
        """Make training leave the embedding tables, and their LayerNorm, as they are."""

    def plain(self) -> PreTrainedModel:
        """Return the model as transformers loads it."""

    def train(self, mode: bool = True) -> Self: ...  # noqa: D102

    def eval(self) -> Self: ...  # noqa: D102

    def to(self, device: torch.device) -> Self: ...  # noqa: D102

    def parameters(self) -> Iterator[nn.Parameter]: ...  # noqa: D102

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object: ...  # noqa: D102
