"""RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT without token types, and with a head of its own."""

from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import Family

FAMILY = Family(
    model_types=("roberta", "xlm-roberta", "camembert"),
    prefixes=("Roberta", "XLMRoberta", "Camembert"),
    # The head's first unit does what BERT's pooler does, which its base model lacks here.
    units={**encoder("roberta"), "pooler": "classifier.dense", "classifier": "classifier.out_proj"},
    head_activation="tanh",
    token_types=False,
    positions_skip_padding=True,
    padding_sides=("right", "left"),  # padding counts as no position
)
