"""How the models of each family are taken apart and run in torch.

What their modules and sizes are called is described once, for the exporters; here stands what torch needs beside that.
To train another family, write its entry.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import relu
from transformers import PreTrainedModel

from edgebert.errors import TrainingError
from edgebert.exporters.families import bert, distilbert, electra, roberta, xlnet
from edgebert.exporters.family import Family

# Turns the last hidden states (batch, length, hidden) of a classifier into its logits (batch, labels).
Classify = Callable[[PreTrainedModel, Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """One transformer layer: its linear maps, as (outputs, inputs), and its two LayerNorms."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_out: nn.Linear
    attention_norm: nn.Module
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    ffn_norm: nn.Module


# The exporters' names of a layer's parts, in the order of the fields above.
_UNITS = ("q", "k", "v", "o", "attention_norm", "ffn_in", "ffn_out", "ffn_norm")


@dataclass(frozen=True)
class ModelFamily:
    """A family: its description for the exporters, and how its models compute.

    `classify` is None where sub-networks cannot be cut. `masked_lm_head` names the modules of the family's masked
    language model that follow the base model, in their order. `attention_dropout_after`: whether dropout follows a
    layer's attention. The last three are keys of transformers' configuration.
    """

    described: Family
    classify: Classify | None
    masked_lm_head: tuple[str, ...]
    attention_dropout_after: bool = True
    activation_key: str = "hidden_act"
    hidden_dropout_key: str = "hidden_dropout_prob"
    attention_dropout_key: str = "attention_probs_dropout_prob"

    @property
    def ffn_key(self) -> str:
        """The key of transformers' configuration for the FFN neurons of a layer."""
        key = self.described.sizes["ffn"]
        assert isinstance(key, str), "every family has FFN neurons"
        return key

    @property
    def stack(self) -> str:
        """The name of the module that holds the layers."""
        stack: str = self.described.units["ffn_norm"].partition(".{layer}")[0]
        return stack

    def embeddings(self, model: PreTrainedModel) -> nn.Module:
        """Return the embedding tables, with their LayerNorm where they have one."""
        units = self.described.units
        # XLNet's tables stand by themselves in its base model, which holds everything else too.
        has_norm = "embedding_norm" in units
        return model.get_submodule(units["embedding_norm"].rpartition(".")[0] if has_norm else units["word"])

    def projection(self, model: PreTrainedModel) -> nn.Module | None:
        """Return what widens embeddings that are narrower than the layers, in a model that has it."""
        parent, _, name = self.described.units.get("projection", "").rpartition(".")
        found: nn.Module | None = getattr(model.get_submodule(parent), name, None) if name else None
        return found

    def layers_of(self, model: PreTrainedModel) -> list[Layer]:
        """Return the parts of each layer of a model of this family, which must be one that can be cut."""
        places = [self.described.units[unit] for unit in _UNITS]
        numbers = range(len(list(model.get_submodule(self.stack).children())))
        parts: list[list[Any]] = [
            [model.get_submodule(place.format(layer=number)) for place in places] for number in numbers
        ]
        return [Layer(*modules) for modules in parts]

    def with_layers(self, model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
        """Return a copy of a model of this family that has only some of its layers, in the given order."""
        # A copy, so that the weights and the configuration of the caller's model stay as they are.
        kept = copy.deepcopy(model)
        modules = list(kept.get_submodule(self.stack).children())
        kept.set_submodule(self.stack, nn.ModuleList(modules[layer] for layer in layers))
        kept.config.num_hidden_layers = len(layers)
        return kept

    def guess_tokens(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """Return a masked language model's logits (tokens, vocabulary) for its last hidden states (tokens, hidden)."""
        return reduce(lambda state, name: model.get_submodule(name)(state), self.masked_lm_head, hidden)


def _classify_pooled(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """BERT: a pooler of the base model, dropout and a linear map."""
    pooled = model.base_model.get_submodule("pooler")(hidden)
    logits: Tensor = model.get_submodule("classifier")(model.get_submodule("dropout")(pooled))
    return logits


def _classify_hidden(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """RoBERTa and ELECTRA: a head of several layers, which takes the first token by itself."""
    logits: Tensor = model.get_submodule("classifier")(hidden)
    return logits


def _classify_first(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """DistilBERT: a linear map with a ReLU for the first token, dropout and a second linear map."""
    pooled = relu(model.get_submodule("pre_classifier")(hidden[:, 0]))
    logits: Tensor = model.get_submodule("classifier")(model.get_submodule("dropout")(pooled))
    return logits


_ROBERTA = ModelFamily(roberta.FAMILY, _classify_hidden, ("lm_head",))

# By transformers' model_type.
TRAINABLE = {
    "bert": ModelFamily(bert.FAMILY, _classify_pooled, ("cls",)),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": ModelFamily(
        distilbert.FAMILY,
        _classify_first,
        ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
        attention_dropout_after=False,
        activation_key="activation",
        hidden_dropout_key="dropout",
        attention_dropout_key="attention_dropout",
    ),
    "electra": ModelFamily(electra.FAMILY, _classify_hidden, ("generator_predictions", "generator_lm_head")),
    "xlnet": ModelFamily(
        xlnet.FAMILY,
        classify=None,
        masked_lm_head=(),
        activation_key="ff_activation",
        hidden_dropout_key="dropout",
        attention_dropout_key="dropout",
    ),
}


def family_of(model_type: str, *, to_cut: bool = False) -> ModelFamily:
    """Return a family, or raise a TrainingError if it is unknown or, `to_cut`, its models cannot be cut."""
    families = {name: family for name, family in TRAINABLE.items() if family.classify or not to_cut}
    if model_type not in families:
        expected = f"expected one of {', '.join(families)}"
        raise TrainingError(f"model_type '{model_type}' is not supported; {expected}")
    return families[model_type]
