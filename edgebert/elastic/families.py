"""How training finds its way in the models of each family: layers, heads and neurons, by the names of their modules.

These are described once, for the exporters; torch needs little beside that. What a model computes is transformers' own
business, so that a family that is described can be trained.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from edgebert.elastic.shared_copy import shared_copy
from edgebert.elastic.units import Kind, UnitTensor, UnitValues
from edgebert.errors import TrainingError
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.family import Family, Part

# The maps of a layer that make heads or neurons, and those that read them, by the exporters' names. Distances have maps
# of their own in some of DeBERTa's models.
_MAKE: Mapping[str, Kind] = {
    **dict.fromkeys(("q", "k", "v", "distance_k", "distance_q"), "heads"),
    **dict.fromkeys(("ffn_in", "ffn_gate"), "neurons"),
}
_READ: Mapping[str, Kind] = {"o": "heads", "ffn_out": "neurons"}
_LAYER_NUMBER = re.compile(r"\.\{(?:layer|group)\}\.")

# What attention modules call the number of their heads and the size of all heads together, in transformers 4 and 5.
_COUNTS = ("num_attention_heads", "num_heads", "n_heads")
_SIZES = ("all_head_size", "dim")


@dataclass(frozen=True)
class ModelFamily:
    """A family: its description for the exporters, and what training needs to know beside it.

    `masked_lm_head` names the modules of the family's masked language model that follow the base model, in their order;
    none where it is more than that.
    """

    described: Family
    masked_lm_head: tuple[str, ...] = ()

    @property
    def can_be_cut(self) -> bool:
        """Whether its heads and neurons are known: XLNet's have other shapes, and no units of these names."""
        return {"q", "k", "v", "ffn_in", *_READ} <= set(self.described.units)

    @property
    def has_one_head_order(self) -> bool:
        """Whether all layers have their heads in the same order, and as many of them: MPNet's share a table of them."""
        return "distance_bias" in self.described.units

    @property
    def ffn_key(self) -> str:
        """The key of transformers' configuration for the FFN neurons of a layer."""
        key = self.described.sizes["ffn"]
        assert isinstance(key, str), "every family has FFN neurons"
        return key

    def stored_layers(self, config: PreTrainedConfig) -> tuple[int, ...]:
        """Return the number of the module that each layer is; ALBERT's layers share their modules."""
        layers, groups = config.num_hidden_layers, self._groups(config)
        # As transformers counts, in floats.
        return tuple(int(layer / (layers / groups)) if groups else layer for layer in range(layers))

    def _groups(self, config: PreTrainedConfig) -> int:
        key = self.described.sizes.get("groups")
        return int(getattr(config, key)) if isinstance(key, str) else 0

    def config_changes(self, config: PreTrainedConfig, layers: Sequence[int]) -> dict[str, Any]:
        """Return what a configuration says of a model that has only some of the layers, in the given order.

        Raises:
            TrainingError: no configuration can say it.
        """
        if self.described.pre_norm and layers[0] != 0:
            found = f"expected {config.model_type}'s first layer to stay, which has no norm before its attention"
            raise TrainingError(f"{found}, found it dropped; drop other layers")

        # `num_hidden_layers` is an attribute that transformers maps to the family's own key, such as n_layers.
        changes: dict[str, Any] = {"num_hidden_layers": len(layers)}
        # ModernBERT's layers see all tokens or near ones; transformers 4 knows but one pattern.
        if types := getattr(config, "layer_types", None):
            changes["layer_types"] = [types[layer] for layer in layers]
        every = 0 if types else getattr(config, "global_attn_every_n_layers", 0)
        if every and any((place % every == 0) != (layer % every == 0) for place, layer in enumerate(layers)):
            expected = f"expected transformers 5, whose configuration says which layers of {config.model_type} see all"
            raise TrainingError(f"{expected} tokens, found {transformers.__version__}; update it")

        if self._groups(config):
            stored = [self.stored_layers(config)[layer] for layer in layers]
            kept = sorted(set(stored))
            shares = [int(place / (len(layers) / len(kept))) for place in range(len(layers))]
            if [kept.index(number) for number in stored] != shares:
                found = f"groups of {' '.join(str(stored.count(number)) for number in kept)} layers"
                raise TrainingError(f"expected to keep as many layers of each group that shares weights, found {found}")
            changes["num_hidden_groups"] = len(kept)
        return changes

    def layers_of(self, network: PreTrainedModel) -> list[nn.Module]:
        """Return the modules of the layers of a model of this family; layers that share weights are one."""
        return list(network.base_model.get_submodule(self._stack).children())

    @property
    def _stack(self) -> str:
        """The name, in the base model, of the list of modules that are the layers."""
        return _LAYER_NUMBER.split(self._in_base("ffn_norm"))[0]

    def embeddings(self, network: PreTrainedModel) -> nn.Module:
        """Return the embedding tables, with their LayerNorm where they have one."""
        # XLNet's tables stand by themselves in its base model, which holds everything else too.
        has_norm = "embedding_norm" in self.described.units
        name = self._in_base("embedding_norm").rpartition(".")[0] if has_norm else self._in_base("word")
        return network.base_model.get_submodule(name)

    def final_norm(self, network: PreTrainedModel) -> nn.Module:
        """Return the norm that follows all layers, where layers have their own norms first."""
        has_norm = "final_norm" in self.described.units
        return network.base_model.get_submodule(self._in_base("final_norm")) if has_norm else nn.Identity()

    def unit_tensors(self, layer: nn.Module, head_size: int) -> list[UnitTensor]:
        """Return the tensors of a layer that have heads or neurons."""
        found = {one.path: one for one in self._unit_tensors(head_size)}  # a merged tensor is of several units
        tensors = {name for name, _ in layer.named_parameters()}
        return [one for path, one in found.items() if path in tensors]

    def _unit_tensors(self, head_size: int) -> Iterator[UnitTensor]:
        units = self.described.units
        for unit, kind in {**_MAKE, **_READ}.items():
            if unit in units:
                theirs, size, reads = units[unit], head_size if kind == "heads" else 1, unit in _READ
                parts = theirs.parts if isinstance(theirs, Part) else 1
                yield UnitTensor(self._in_layer(unit), "weight", kind, int(reads), size, parts, reads)
                if not reads:
                    yield UnitTensor(self._in_layer(unit), "bias", kind, 0, size, parts)

    def shared_unit_tensors(self) -> list[UnitTensor]:
        """Return the tensors of the base model that have heads which all layers share."""
        has_table = "distance_bias" in self.described.units
        return [UnitTensor(self._in_base("distance_bias"), "weight", "heads", 1, 1)] if has_table else []

    def tied(self, values: UnitValues) -> UnitValues:
        """Return values of units by which all layers have their heads in one order, if they must: sums over layers."""
        heads = values.heads
        return values._replace(heads=heads.sum(dim=0).expand_as(heads)) if self.has_one_head_order else values

    def tell_heads(self, layer: nn.Module, heads: int, head_size: int) -> None:
        """Tell the attention module of a layer how many heads it has."""
        # The module that holds the map of the queries also runs the attention.
        attention = layer.get_submodule(self._in_layer("q").rpartition(".")[0])
        for names, number in ((_COUNTS, heads), (_SIZES, heads * head_size)):
            for name in names:
                if name in vars(attention):
                    setattr(attention, name, number)

    def shared_copy(self, network: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
        """Return a model that shares the weights of another, with only some of its layers, in the given order.

        Raises:
            TrainingError: no configuration can say which.
        """
        stored = self.stored_layers(network.config)
        kept = list(dict.fromkeys(stored[layer] for layer in layers))
        return shared_copy(network, self._stack, kept, self.config_changes(network.config, layers))

    def with_layers(self, network: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
        """Return such a model with weights of its own."""
        return copy.deepcopy(self.shared_copy(network, layers))

    def guess_tokens(self, network: PreTrainedModel, hidden: Tensor) -> Tensor:
        """Return a masked language model's logits (tokens, vocabulary) for its last hidden states (tokens, hidden)."""
        return reduce(lambda state, name: network.get_submodule(name)(state), self.masked_lm_head, hidden)

    def _in_base(self, unit: str) -> str:
        """Return the name of a unit without that of the base model, which has no such name where it stands alone."""
        return self.described.module(unit).removeprefix(f"{self.described.base}.")

    def _in_layer(self, unit: str) -> str:
        return _LAYER_NUMBER.split(self._in_base(unit))[1]


_MASKED_LM_HEADS = {
    "bert": ("cls",),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), ("lm_head",)),
    "distilbert": ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    "electra": ("generator_predictions", "generator_lm_head"),
    "modernbert": ("head", "decoder"),
    "albert": ("predictions",),
}

# By transformers' model_type.
TRAINABLE = {
    name: ModelFamily(family, _MASKED_LM_HEADS.get(name, ())) for family in FAMILIES for name in family.model_types
}


def masked_lm_family(model_type: str, advice: str) -> ModelFamily:
    """Return a family of whose masked language models the head is known, or raise a TrainingError with advice."""
    family = TRAINABLE.get(model_type)
    if family is None or not family.masked_lm_head:
        known = ", ".join(name for name, one in TRAINABLE.items() if one.masked_lm_head)
        found = f"masked language models of {model_type} are not supported"
        raise TrainingError(f"{found}; expected one of {known}, {advice}")
    return family


def family_of(model_type: str, *, to_cut: bool = False) -> ModelFamily:
    """Return a family, or raise a TrainingError if it is unknown or, `to_cut`, its models cannot be cut."""
    families = {name: family for name, family in TRAINABLE.items() if family.can_be_cut or not to_cut}
    if model_type not in families:
        expected = f"expected one of {', '.join(families)}"
        raise TrainingError(f"model_type '{model_type}' is not supported; {expected}, use such a checkpoint")
    return families[model_type]
