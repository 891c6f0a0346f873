"""What the families of transformers classifiers call the parts that sub-networks are cut from; a description each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgebert.errors import TrainingError


@dataclass(frozen=True)
class Family:
    """Names of modules: `layers` under the base model, those from `query` to `ffn_norm` under a layer.

    `masked_lm_head` is the head of the family's masked language model, under the model; `classify` turns the last
    hidden states of a classifier (batch, length, hidden) into logits.
    """

    layers: str
    query: str
    key: str
    value: str
    attention_out: str
    attention_norm: str
    ffn_in: str
    ffn_out: str
    ffn_norm: str
    masked_lm_head: str
    classify: Callable[[Any, Tensor], Tensor]

    def layers_of(self, model: Any) -> list["Layer"]:
        """Return the parts of each layer of a model of this family."""
        return [
            Layer(
                query=layer.get_submodule(self.query),
                key=layer.get_submodule(self.key),
                value=layer.get_submodule(self.value),
                attention_out=layer.get_submodule(self.attention_out),
                attention_norm=layer.get_submodule(self.attention_norm),
                ffn_in=layer.get_submodule(self.ffn_in),
                ffn_out=layer.get_submodule(self.ffn_out),
                ffn_norm=layer.get_submodule(self.ffn_norm),
            )
            for layer in model.base_model.get_submodule(self.layers)
        ]


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


def _classify_pooled(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(model.base_model.pooler(hidden)))
    return logits


def _classify_hidden(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.classifier(hidden)
    return logits


def _bert(masked_lm_head: str, classify: Callable[[Any, Tensor], Tensor]) -> Family:
    return Family(
        layers="encoder.layer",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_out="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        ffn_in="intermediate.dense",
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
        masked_lm_head=masked_lm_head,
        classify=classify,
    )


FAMILIES = {"bert": _bert("cls", _classify_pooled), "roberta": _bert("lm_head", _classify_hidden)}


def family_of(model: Any) -> Family:
    """Return the description of a transformers model.

    Raises:
        TrainingError: its family is not known, or it uses what the elastic model does not compute.
    """
    return family_for(model.config)


def family_for(config: Any) -> Family:
    """Return the description of the models of a configuration; raises as `family_of`."""
    if config.model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise TrainingError(f"model_type '{config.model_type}' is not supported; expected one of {known}")
    position = getattr(config, "position_embedding_type", None) or "absolute"
    if position != "absolute" or getattr(config, "is_decoder", False):
        found = "a decoder" if position == "absolute" else f"position_embedding_type '{position}'"
        raise TrainingError(f"expected an encoder with absolute positions, found {found}; use another checkpoint")
    return FAMILIES[config.model_type]
