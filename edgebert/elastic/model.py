"""A transformers model of any known family, run as it is: what training, scoring and saving need of every model."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgebert.elastic.model_config import config_of
from edgebert.elastic.stage import Compute
from edgebert.elastic_manifest import Slice
from edgebert.machine.device import this_device
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class ModelOutput:
    """What a sub-network computes: logits (batch, labels), and hidden states, each (batch, length, hidden).

    `hidden` holds the embeddings' output, then the output of each kept layer.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]


class Model(nn.Module):
    """A transformers model with one sub-network, which is all of it; models that can be cut have others too."""

    def __init__(self, classifier: PreTrainedModel):
        """Wrap a transformers model with a head, whose weights are shared; of no known family it is a TrainingError."""
        super().__init__()
        self.config = config_of(classifier.config)
        self.family = self.config.family
        self.classifier = classifier
        self.train(classifier.training)

    def subnet(self) -> Subnet:
        """Return the sub-network that is the whole model."""
        count = self.config.layers
        whole = Slice("full", tuple(range(count)), (self.config.heads,) * count, (self.config.ffn,) * count)
        return whole.subnet("full", "fp32")

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> ModelOutput:
        """Run a sub-network on token ids, attention mask and token types, each (batch, length) of integers."""
        # Its layers may have other numbers, those of the model that it was cut from.
        assert len(subnet.layers) == self.config.layers, "a whole model runs all of its layers"
        out = self.classifier(input_ids=ids, attention_mask=mask, output_hidden_states=True, **self.typed(types))
        return ModelOutput(out.logits, out.hidden_states)

    def typed(self, types: Tensor | None) -> dict[str, Tensor]:
        """Return token types by transformers' name of that input, for a model that takes them."""
        return {} if types is None or not self.family.described.token_types else {"token_type_ids": types}

    def freeze_embeddings(self) -> None:
        """Make training leave the embedding tables, and their LayerNorm, as they are."""
        self.family.embeddings(self.classifier).requires_grad_(False)

    def plain(self) -> PreTrainedModel:
        """Return the model as transformers loads it."""
        return self.classifier


def best_compute() -> Compute:
    """Return bf16 where the machine multiplies it natively, else fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(this_device().instruction_sets) else "fp32"


def autocast(device: torch.device, compute: Compute) -> torch.autocast:
    """Return the context in which models run: weights stay in fp32, whose small updates bf16 would round away."""
    return torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16")
