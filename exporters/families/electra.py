"""ELECTRA (Clark et al. 2020): BERT with embeddings that may be narrower than its layers, and a GELU in its head."""

from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import Family, Variant

FAMILY = Family(
    model_types=("electra",),
    prefixes=("Electra",),
    units={
        **encoder("electra"),
        "projection": "electra.embeddings_project",
        # Its base model has no pooler: the head's first unit does what BERT's does.
        "pooler": "classifier.dense",
        "classifier": "classifier.out_proj",
    },
    head_activation="gelu",
    token_types=True,
    # It makes up for embeddings that are narrower than the layers.
    variant=lambda _path, _config, counts: Variant(
        absent=frozenset({"projection"} if counts["embedding"] == counts["hidden"] else ())
    ),
)
