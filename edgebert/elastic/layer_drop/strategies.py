"""Poor Man's BERT's strategies (arXiv 2004.03844, section 3): which layers are dropped. Needs no torch."""

from collections.abc import Sequence
from typing import Literal, get_args

from edgebert.errors import TrainingError

Strategy = Literal["top", "bottom", "even-alternate", "odd-alternate", "symmetric", "contribution"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def layers_left(strategy: Strategy, count: int, layers: int, similarities: Sequence[float] = ()) -> tuple[int, ...]:
    """Return the 0-based layers that are left when a strategy drops so many.

    Counted from 1, as the paper does, even-alternate drops the highest even layers and odd-alternate the highest odd
    ones. Symmetric drops the middle, and where that is not the same at both ends it keeps the lower layer. Contribution
    drops the layers whose output is most similar to their input (`similarities`, one per layer), the higher of equals.

    Raises:
        TrainingError: an unknown strategy, or one that cannot drop so many.
    """
    check_count(strategy, count, layers)
    match strategy:
        case "top":
            dropped: Sequence[int] = range(layers - count, layers)
        case "bottom":
            dropped = range(count)
        case "symmetric":
            start = (layers - count + 1) // 2
            dropped = range(start, start + count)
        case "contribution":
            assert len(similarities) == layers, "contribution is measured for each layer"
            dropped = sorted(range(layers), key=lambda layer: (similarities[layer], layer))[layers - count :]
        case "even-alternate" | "odd-alternate":
            # The paper counts layers from 1: its even ones have odd numbers here.
            alternate = range(strategy == "even-alternate", layers, 2)
            dropped = alternate[len(alternate) - count :]
    return tuple(layer for layer in range(layers) if layer not in dropped)


def check_count(strategy: Strategy, count: int, layers: int) -> None:
    """Raise a TrainingError if there is no such strategy, or it cannot drop so many of so many layers."""
    most = most_dropped(strategy, layers)
    if not 0 <= count <= most:
        raise TrainingError(f"{strategy} drops 0 to {most} of {layers} layers, not {count}; choose another number")


def most_dropped(strategy: Strategy, layers: int) -> int:
    """Return how many layers, of so many, a strategy can drop; one is left. An unknown strategy is a TrainingError."""
    if strategy not in STRATEGIES:
        raise TrainingError(f"no strategy '{strategy}'; choose among {', '.join(STRATEGIES)}")
    alternate = {"even-alternate": layers // 2, "odd-alternate": (layers + 1) // 2}
    return min(alternate.get(strategy, layers), layers - 1)
