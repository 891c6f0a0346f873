"""How the models of each family are taken apart and run in torch.

What their modules and sizes are called is described once, for the exporters; here stands what torch needs beside that.
To train another family, write its entry.
"""

import copy
import dataclasses
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
    """One transformer layer, under the exporters' names of its parts: linear maps (outputs, inputs) and LayerNorms."""

    q: nn.Linear
    k: nn.Linear
    v: nn.Linear
    o: nn.Linear
    attention_norm: nn.Module
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    ffn_norm: nn.Module


@dataclass(frozen=True)
class ModelFamily:
    """A family: its description for the exporters, and how its models compute.

    `classify` is None where sub-networks cannot be cut. `masked_lm_head` names the modules of the family's masked
    language model that follow the base model, in their order. `attention_dropout_after`: whether dropout follows a
    layer's attention. The last two are keys of transformers' configuration.
    """

    described: Family
    classify: Classify | None
    masked_lm_head: tuple[str, ...]
    attention_dropout_after: bool = True
    hidden_dropout_key: str = "hidden_dropout_prob"
    attention_dropout_key: str = "attention_probs_dropout_prob"

    @property
    def ffn_key(self) -> str:
        """The key of transformers' configuration for the FFN neurons of a layer."""
        key = self.described.sizes["ffn"]
        assert isinstance(key, str), "every family has FFN neurons"
        return key

    def embeddings(self, model: PreTrainedModel) -> nn.Module:
        """Return the embedding tables, with their LayerNorm where they have one."""
        units = self.described.units
        # XLNet's tables stand by themselves in its base model, which holds everything else too.
        has_norm = "embedding_norm" in units
        return model.get_submodule(units["embedding_norm"].rpartition(".")[0] if has_norm else units["word"])

    def projection(self, model: PreTrainedModel) -> nn.Module | None:
        """Return what widens embeddings that are narrower than the layers, in a model that has it."""
        # ELECTRA's larger checkpoints have none.
        parent, _, name = self.described.units.get("projection", "").rpartition(".")
        found: nn.Module | None = getattr(model.get_submodule(parent), name, None) if name else None
        return found

    def layers_of(self, model: PreTrainedModel) -> list[Layer]:
        """Return the parts of each layer of a model of this family, which must be one that can be cut."""
        units = {field.name: self.described.units[field.name] for field in dataclasses.fields(Layer)}
        found = []
        for number in range(model.config.num_hidden_layers):
            parts: dict[str, Any] = {
                name: model.get_submodule(unit.format(layer=number)) for name, unit in units.items()
            }
            found.append(Layer(**parts))
        return found

    def with_layers(self, model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
        """Return a copy of a model of this family that has only some of its layers, in the given order."""
        # A copy, so that the weights and the configuration of the caller's model stay as they are.
        kept = copy.deepcopy(model)
        # In every family the layers are one list of modules, whose name stands before a layer's number.
        stack = self.described.units["ffn_norm"].partition(".{layer}")[0]
        modules = list(kept.get_submodule(stack).children())
        kept.set_submodule(stack, nn.ModuleList(modules[layer] for layer in layers))
        # An attribute that transformers maps to the family's own key, such as DistilBERT's n_layers.
        kept.config.num_hidden_layers = len(layers)
        return kept

    def guess_tokens(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """Return a masked language model's logits (tokens, vocabulary) for its last hidden states (tokens, hidden)."""
        return _run_modules(model, self.masked_lm_head, hidden)


def _run_modules(model: PreTrainedModel, names: Sequence[str], state: Tensor) -> Tensor:
    """Return what modules of a model make of a state, one after the other."""
    return reduce(lambda state, name: model.get_submodule(name)(state), names, state)


def _classifier_of(*names: str) -> Classify:
    """Return a classifier that is modules of the model, one after the other."""
    return lambda model, hidden: _run_modules(model, names, hidden)


def _classify_first_token(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return DistilBERT's logits, whose ReLU is no module of the model."""
    pooled = relu(model.get_submodule("pre_classifier")(hidden[:, 0]))
    return _run_modules(model, ("dropout", "classifier"), pooled)


# RoBERTa's and ELECTRA's heads take the first token by themselves, as BERT's pooler does.
_ROBERTA = ModelFamily(roberta.FAMILY, _classifier_of("classifier"), ("lm_head",))

# By transformers' model_type.
TRAINABLE = {
    "bert": ModelFamily(bert.FAMILY, _classifier_of("bert.pooler", "dropout", "classifier"), ("cls",)),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": ModelFamily(
        distilbert.FAMILY,
        _classify_first_token,
        ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
        attention_dropout_after=False,
        hidden_dropout_key="dropout",
        attention_dropout_key="attention_dropout",
    ),
    "electra": ModelFamily(
        electra.FAMILY, _classifier_of("classifier"), ("generator_predictions", "generator_lm_head")
    ),
    # Its attention goes by the distances of tokens: layers are dropped, but heads and neurons are not cut.
    "xlnet": ModelFamily(
        xlnet.FAMILY,
        classify=None,
        masked_lm_head=(),
        hidden_dropout_key="dropout",
        attention_dropout_key="dropout",
    ),
}


def family_of(model_type: str, *, to_cut: bool = False) -> ModelFamily:
    """Return a family, or raise a TrainingError if it is unknown or, `to_cut`, its models cannot be cut."""
    families = {name: family for name, family in TRAINABLE.items() if family.classify or not to_cut}
    if model_type not in families:
        expected = f"expected one of {', '.join(families)}"
        raise TrainingError(f"model_type '{model_type}' is not supported; {expected}, use such a checkpoint")
    return families[model_type]
