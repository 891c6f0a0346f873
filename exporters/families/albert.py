"""ALBERT (Lan et al. 2020): layers that share weights, and embeddings that are narrower than they."""

from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import CONFIG_KEYS, ENCODER, Family

_LAYER = "albert.encoder.albert_layer_groups.{group}.albert_layers.0"

FAMILY = Family(
    model_types=("albert",),
    prefixes=("Albert",),
    units={
        **encoder("albert"),
        "projection": "albert.encoder.embedding_hidden_mapping_in",
        "q": f"{_LAYER}.attention.query",
        "k": f"{_LAYER}.attention.key",
        "v": f"{_LAYER}.attention.value",
        "o": f"{_LAYER}.attention.dense",
        "attention_norm": f"{_LAYER}.attention.LayerNorm",
        "ffn_in": f"{_LAYER}.ffn",
        "ffn_out": f"{_LAYER}.ffn_output",
        "ffn_norm": f"{_LAYER}.full_layer_layer_norm",
        "pooler": "albert.pooler",
        "classifier": "classifier",
    },
    head_activation="tanh",
    token_types=True,
    sizes={**CONFIG_KEYS, "groups": "num_hidden_groups"},
    supported={**ENCODER, "inner_group_num": (1,)},
    activation="gelu_new",
)
