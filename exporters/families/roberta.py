"""RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT without token types, and with a head of its own."""

from collections.abc import Mapping
from typing import Any

from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import Family


def _first_position(config: Mapping[str, Any]) -> int:
    """Return the row of the position table that the first token takes: those up to padding's number are unused."""
    padding = config.get("pad_token_id")
    return 1 + (padding if isinstance(padding, int) else 1)


FAMILY = Family(
    model_types=("roberta", "xlm-roberta", "camembert"),
    prefixes=("Roberta", "XLMRoberta", "Camembert"),
    # The head's first unit does what BERT's pooler does, which its base model lacks here.
    units={**encoder("roberta"), "pooler": "classifier.dense", "classifier": "classifier.out_proj"},
    activation="tanh",
    token_types=False,
    first_position=_first_position,
    padding_sides=("right", "left"),  # padding counts as no position
)
