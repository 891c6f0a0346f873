"""A transformers model of any known family, run as it is: what training, scoring and saving need of every model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput as TransformersOutput

from edgebert.elastic.model_config import config_of
from edgebert.elastic.stage import Compute
from edgebert.elastic_manifest import Slice
from edgebert.machine.device import this_device
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class ModelOutput:
    """What a sub-network computes: outputs by the names that they have in a bundle, and hidden states.

    `hidden`, each (batch, length, hidden), holds the embeddings' output, then the output of each kept layer; where
    layers have their norms first, the last of them is after the norm that follows all layers.
    """

    outputs: Mapping[str, Tensor]
    hidden: tuple[Tensor, ...]

    @property
    def logits(self) -> Tensor:
        """The one output of a classifier, (batch, labels)."""
        return self.outputs["logits"]


# Makes outputs of what transformers' model returns and the attention mask (batch, length).
ReadOutputs = Callable[[TransformersOutput, Tensor], Mapping[str, Tensor]]


def outputs_by_name(found: TransformersOutput, mask: Tensor) -> Mapping[str, Tensor]:
    """Return the outputs of transformers' own heads, which have the same names there; a base model has none."""
    return {name: found[name] for name in ("logits", "start_logits", "end_logits") if name in found}


class Model(nn.Module):
    """A transformers model with one sub-network, which is all of it; models that can be cut have others too."""

    def __init__(self, network: PreTrainedModel, read_outputs: ReadOutputs = outputs_by_name):
        """Wrap a transformers model, whose weights are shared; of no known family it is a TrainingError."""
        super().__init__()
        self.config = config_of(network.config)
        self.family = self.config.family
        self.network = network
        self.read_outputs = read_outputs
        self.train(network.training)

    def subnet(self) -> Subnet:
        """Return the sub-network that is the whole model."""
        count = self.config.layers
        whole = Slice("full", tuple(range(count)), (self.config.heads,) * count, (self.config.ffn,) * count)
        return whole.subnet("full", "fp32")

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> ModelOutput:
        """Run a sub-network on token ids, attention mask and token types, each (batch, length) of integers."""
        # Its layers may have other numbers, those of the model that it was cut from.
        assert len(subnet.layers) == self.config.layers, "a whole model runs all of its layers"
        return self._run(self.network, ids, mask, types)

    def _run(self, network: PreTrainedModel, ids: Tensor, mask: Tensor, types: Tensor | None) -> ModelOutput:
        found = network(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, return_dict=True, **self.typed(types)
        )
        return ModelOutput(self.read_outputs(found, mask), found.hidden_states)

    def typed(self, types: Tensor | None) -> dict[str, Tensor]:
        """Return token types by transformers' name of that input, for a model that takes them."""
        return {} if types is None or not self.family.described.token_types else {"token_type_ids": types}

    def freeze_embeddings(self) -> None:
        """Make training leave the embedding tables, and their LayerNorm, as they are."""
        self.family.embeddings(self.network).requires_grad_(False)

    def plain(self) -> PreTrainedModel:
        """Return the model as transformers loads it."""
        return self.network


def best_compute() -> Compute:
    """Return bf16 where the machine multiplies it natively, else fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(this_device().instruction_sets) else "fp32"


def autocast(device: torch.device, compute: Compute) -> torch.autocast:
    """Return the context in which models run: weights stay in fp32, whose small updates bf16 would round away."""
    return torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16")
