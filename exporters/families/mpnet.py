"""MPNet (Song et al. 2020): BERT with a bias by distance, one for all layers, and positions counted as RoBERTa's."""

from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import CONFIG_KEYS, Biased, Family, Variant

_LAYER = "mpnet.encoder.layer.{layer}"
_BUCKETS = 32  # of its bias: transformers counts them so, whatever config.json says

FAMILY = Family(
    model_types=("mpnet",),
    prefixes=("MPNet",),
    units={
        **{unit: name for unit, name in encoder("mpnet").items() if unit != "type"},
        "distance_bias": "mpnet.encoder.relative_attention_bias",
        **{unit: f"{_LAYER}.attention.attn.{unit}" for unit in "qkvo"},
        "attention_norm": f"{_LAYER}.attention.LayerNorm",
        # The head's first unit does what BERT's pooler does, which its base model has too, but does not use here.
        "pooler": "classifier.dense",
        "classifier": "classifier.out_proj",
    },
    head_activation="tanh",
    token_types=False,
    sizes={**CONFIG_KEYS, "types": 0},
    supported={"relative_attention_num_buckets": (_BUCKETS,)},
    variant=lambda *_: Variant(Biased(), distances=_BUCKETS),
    positions_skip_padding=True,
    padding=1,
)
