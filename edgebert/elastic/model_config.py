"""What is read of a transformers configuration, under the same names for every family."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from transformers import PreTrainedConfig

from edgebert.elastic.families import ModelFamily, family_of
from edgebert.errors import TrainingError
from edgebert.slices import dynabert_subnet
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of a model, the names of its labels, and its family; `plain` is all that transformers says of it.

    `positions` counts the tokens that a text may have; 0 where positions are relative, so that there is no limit. The
    first of them takes row `first_position` of the position table. `types` counts the rows of the token type table.
    """

    plain: PreTrainedConfig
    family: ModelFamily
    layers: int
    heads: int
    hidden: int
    ffn: int
    embedding: int
    positions: int
    first_position: int
    types: int
    labels: tuple[str, ...]

    @property
    def stored_layers(self) -> tuple[int, ...]:
        """For each layer the number of the module that it is, where layers may share their weights."""
        return self.family.stored_layers(self.plain)

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raise a TrainingError if there cannot be a model of the family with these layers alone."""
        self.family.config_changes(self.plain, layers)

    def has_layers(self, layers: Sequence[int]) -> bool:
        """Return whether there can be such a model."""
        try:
            self.check_layers(layers)
        except TrainingError:
            return False
        return True

    @property
    def head_size(self) -> int:
        """The dimensions of one head."""
        return self.hidden // self.heads

    def subnet(
        self, width: float | Fraction = 1, depth: float | Fraction = 1, layer_order: Sequence[int] = ()
    ) -> Subnet:
        """Return DynaBERT's slice of the model for a width and a depth, or raise as `check_layers`.

        With a `layer_order`, a depth keeps the first of its layers.
        """
        # By its digits, so that 0.1 is a tenth and not the nearest binary fraction.
        width, depth = Fraction(str(width)), Fraction(str(depth))
        sizes = {"layers": self.layers, "heads": self.heads, "ffn": self.ffn}
        found = dynabert_subnet(width, depth, "fp32", layer_order=layer_order, **sizes)
        self.check_layers(found.layers)
        return found

    def check_elastic(self) -> None:
        """Raise a TrainingError if the model is of no family that can be cut, or uses what we do not compute then."""
        family_of(self.plain.model_type, to_cut=True)
        # Rotary and relative positions act within attention, and a decoder's tokens see only those before them.
        is_decoder = getattr(self.plain, "is_decoder", False)
        position_type = getattr(self.plain, "position_embedding_type", None) or "absolute"
        if is_decoder or position_type != "absolute":
            found = "a decoder" if is_decoder else f"position_embedding_type '{position_type}'"
            raise TrainingError(f"expected an encoder with absolute positions, found {found}; use another checkpoint")


def config_of(config: PreTrainedConfig) -> ModelConfig:
    """Return what we read of a transformers configuration, or raise a TrainingError if its family is unknown."""
    family = family_of(config.model_type)
    described, first_position = family.described, 0
    if described.positions_skip_padding:
        first_position = 1 + (config.pad_token_id if described.padding is None else described.padding)
    names = {int(number): name for number, name in (config.id2label or {}).items()}
    return ModelConfig(
        plain=config,
        family=family,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        hidden=config.hidden_size,
        ffn=getattr(config, family.ffn_key),
        embedding=config.embedding_size if "projection" in described.units else config.hidden_size,
        positions=max(0, getattr(config, "max_position_embeddings", 0) - first_position),
        first_position=first_position,
        # XLNet has types but no table of them: it compares the types of two tokens.
        types=getattr(config, "type_vocab_size", 2) if described.token_types else 0,
        labels=tuple(names[number] for number in sorted(names)),
    )
