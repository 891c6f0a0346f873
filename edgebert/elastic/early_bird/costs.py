"""What a training costs in floating-point operations, counted from the batches as they are padded.

Counted are the products of matrices, a multiplication and an addition as two operations; norms, activations, the
embeddings' look-up and the optimizer are left out, as is scoring. The gradients of a product are two products of its
size, so a step is three times its forward pass (a little less where embeddings are frozen, which is not counted).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from edgebert.elastic.data import Texts
from edgebert.records import Record
from edgebert.subnet import Subnet


class Cost(Record, frozen=True):
    """Steps, seconds of work (None: not measured) and floating-point operations."""

    steps: int
    seconds: float | None
    flops: int


def forward_flops(subnet: Subnet, config: Any, texts: int, length: int) -> int:
    """Return the operations of a forward pass on texts of the same length, for a classifier's configuration."""
    hidden: int = config.hidden_size
    head_size = hidden // config.num_attention_heads
    tokens = texts * length
    total: int = texts * hidden * (hidden + config.num_labels)  # the classifier's two layers, on one token
    for heads, ffn in zip(subnet.heads, subnet.ffn, strict=True):
        size = heads * head_size
        total += 4 * tokens * hidden * size  # query, key, value, and what follows attention
        total += 2 * tokens * length * size  # every token with every other, and the mixture of values
        total += 2 * tokens * hidden * ffn
    return 2 * total


def training_flops(subnet: Subnet, config: Any, texts: Texts, batches: Iterable[Sequence[int]]) -> int:
    """Return the operations of training steps on batches of texts, given by their numbers."""
    return 3 * sum(
        forward_flops(subnet, config, len(numbers), max(len(texts.ids[number]) for number in numbers))
        for numbers in batches
    )
