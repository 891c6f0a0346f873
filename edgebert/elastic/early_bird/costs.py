"""What a training costs in floating-point operations, counted from the batches as they are padded.

Counted are the products of matrices, a multiplication and an addition as two operations; norms, activations, the
embeddings' look-up and the optimizer are left out, as is scoring. The gradients of a product are two products of its
size, so a step is three times its forward pass (a little less where embeddings are frozen, which is not counted).
"""

from collections.abc import Iterable, Sequence

from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.texts import Texts
from edgebert.records import Record
from edgebert.subnet import Subnet


class Cost(Record, frozen=True):
    """Steps, seconds of work (None: not measured) and floating-point operations."""

    steps: int
    seconds: float | None
    flops: int


def forward_flops(subnet: Subnet, config: ModelConfig, labels: int, texts: int, length: int) -> int:
    """Return the operations of a forward pass of a classifier of so many labels, on texts of the same length."""
    hidden, tokens = config.hidden, texts * length
    total = texts * hidden * (hidden + labels)  # the classifier's two layers, on one token
    if config.embedding != hidden:
        total += tokens * config.embedding * hidden  # what widens the embeddings
    for heads, ffn in zip(subnet.heads, subnet.ffn, strict=True):
        size = heads * config.head_size
        total += 4 * tokens * hidden * size  # query, key, value, and what follows attention
        total += 2 * tokens * length * size  # every token with every other, and the mixture of values
        total += 2 * tokens * hidden * ffn
    return 2 * total


def training_flops(
    subnet: Subnet, config: ModelConfig, labels: int, texts: Texts, batches: Iterable[Sequence[int]]
) -> int:
    """Return the operations of training steps on batches of texts, given by their numbers."""
    return 3 * sum(
        forward_flops(subnet, config, labels, len(numbers), max(len(texts.ids[number]) for number in numbers))
        for numbers in batches
    )
