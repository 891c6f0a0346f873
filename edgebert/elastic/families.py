"""What the families of transformers models call their modules and the keys of their configurations.

One description a family. To train another family, describe it here.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from torch import Tensor, nn
from torch.nn.functional import relu
from transformers import PreTrainedModel

from edgebert.errors import TrainingError


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


@dataclass(frozen=True)
class LayerNames:
    """The names that the parts of a `Layer` have as modules of a transformers layer."""

    query: str
    key: str
    value: str
    attention_out: str
    attention_norm: str
    ffn_in: str
    ffn_out: str
    ffn_norm: str

    def parts_of(self, module: nn.Module) -> Layer:
        """Return the parts of a transformers layer."""
        return Layer(
            query=_linear(module, self.query),
            key=_linear(module, self.key),
            value=_linear(module, self.value),
            attention_out=_linear(module, self.attention_out),
            attention_norm=module.get_submodule(self.attention_norm),
            ffn_in=_linear(module, self.ffn_in),
            ffn_out=_linear(module, self.ffn_out),
            ffn_norm=module.get_submodule(self.ffn_norm),
        )


def _linear(module: nn.Module, name: str) -> nn.Linear:
    found = module.get_submodule(name)
    assert isinstance(found, nn.Linear), f"{name} is a linear map"
    return found


@dataclass(frozen=True)
class ConfigKeys:
    """The keys in a transformers configuration of what the library itself does not name alike in all families."""

    ffn: str = "intermediate_size"
    activation: str = "hidden_act"
    hidden_dropout: str = "hidden_dropout_prob"
    attention_dropout: str = "attention_probs_dropout_prob"


# Turns the last hidden states (batch, length, hidden) of a classifier into its logits (batch, labels).
Classify = Callable[[PreTrainedModel, Tensor], Tensor]


@dataclass(frozen=True)
class ModelFamily:
    """Where the models of a family keep their modules, and in what they differ.

    `layers`, `embeddings` and `projection` are modules of the base model; a projection widens embeddings that are
    narrower than the layers, in models that have it. `layer` and `classify` are None where sub-networks cannot be cut.
    `masked_lm_head` names the modules of the family's masked language model that follow the base model, in their order.
    `token_types`: whether the model tells the two texts of a pair apart by token types. `pads_positions`: whether the
    rows of the position table up to the padding token's number are unused. `attention_dropout_after`: whether dropout
    follows a layer's attention.
    """

    layers: str
    embeddings: str
    layer: LayerNames | None
    classify: Classify | None
    masked_lm_head: tuple[str, ...]
    projection: str = ""
    token_types: bool = True
    pads_positions: bool = False
    attention_dropout_after: bool = True
    keys: ConfigKeys = field(default_factory=ConfigKeys)

    def layers_of(self, model: PreTrainedModel) -> list[Layer]:
        """Return the parts of each layer of a model of this family, which must be one that can be cut."""
        assert self.layer is not None, "layers are described where they can be cut"
        return [self.layer.parts_of(layer) for layer in model.base_model.get_submodule(self.layers).children()]

    def with_layers(self, model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
        """Return a copy of a model of this family that has only some of its layers, in the given order."""
        kept = copy.deepcopy(model)
        parent, _, name = self.layers.rpartition(".")
        stack = kept.base_model.get_submodule(parent)
        modules = list(stack.get_submodule(name).children())
        setattr(stack, name, nn.ModuleList(modules[layer] for layer in layers))
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


_BERT = ModelFamily(
    layers="encoder.layer",
    embeddings="embeddings",
    layer=LayerNames(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_out="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        ffn_in="intermediate.dense",
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    ),
    classify=_classify_pooled,
    masked_lm_head=("cls",),
)
_ROBERTA = replace(
    _BERT, classify=_classify_hidden, masked_lm_head=("lm_head",), token_types=False, pads_positions=True
)
_ELECTRA = replace(
    _BERT,
    classify=_classify_hidden,
    masked_lm_head=("generator_predictions", "generator_lm_head"),
    projection="embeddings_project",
)
_DISTILBERT = ModelFamily(
    layers="transformer.layer",
    embeddings="embeddings",
    layer=LayerNames(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_out="attention.out_lin",
        attention_norm="sa_layer_norm",
        ffn_in="ffn.lin1",
        ffn_out="ffn.lin2",
        ffn_norm="output_layer_norm",
    ),
    classify=_classify_first,
    masked_lm_head=("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    token_types=False,
    attention_dropout_after=False,
    keys=ConfigKeys(
        ffn="hidden_dim", activation="activation", hidden_dropout="dropout", attention_dropout="attention_dropout"
    ),
)
_XLNET = ModelFamily(
    layers="layer",
    embeddings="word_embedding",
    layer=None,
    classify=None,
    masked_lm_head=(),
    keys=ConfigKeys(ffn="d_inner", activation="ff_activation", hidden_dropout="dropout", attention_dropout="dropout"),
)

# By transformers' model_type.
FAMILIES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "electra": _ELECTRA,
    "xlnet": _XLNET,
}


def family_of(model_type: str) -> ModelFamily:
    """Return the description of a family.

    Raises:
        TrainingError: there is none.
    """
    if model_type not in FAMILIES:
        raise _unsupported(model_type, list(FAMILIES))
    return FAMILIES[model_type]


def check_elastic(model_type: str) -> None:
    """Check that sub-networks can be cut from models of a family.

    Raises:
        TrainingError: they cannot.
    """
    if family_of(model_type).layer is None:
        raise _unsupported(model_type, [name for name, family in FAMILIES.items() if family.layer])


def _unsupported(model_type: str, known: list[str]) -> TrainingError:
    return TrainingError(f"model_type '{model_type}' is not supported; expected one of {', '.join(known)}")
