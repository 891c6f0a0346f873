"""One small file a family of encoders: what its tensors are called in a checkpoint, and what differs."""

from edgebert.exporters.families import bert, distilbert, electra, roberta, xlnet

FAMILIES = (bert.FAMILY, roberta.FAMILY, distilbert.FAMILY, electra.FAMILY, xlnet.FAMILY)
