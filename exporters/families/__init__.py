"""One small file a family of encoders: what its tensors are called in a checkpoint, and what differs."""

from edgebert.exporters.families import (
    albert,
    bert,
    deberta_v2,
    distilbert,
    electra,
    modernbert,
    mpnet,
    roberta,
    xlnet,
)

FAMILIES = (
    bert.FAMILY,
    roberta.FAMILY,
    distilbert.FAMILY,
    electra.FAMILY,
    xlnet.FAMILY,
    mpnet.FAMILY,
    modernbert.FAMILY,
    deberta_v2.FAMILY,
    albert.FAMILY,
)
