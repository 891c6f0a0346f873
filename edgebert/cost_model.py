"""What a request of any shape is expected to cost, from the shapes that were measured.

Between two measured lengths or batch sizes the cost is interpolated: it grows faster than in proportion, so the
straight line lies above it. Beyond the largest measured shape nothing is promised. Knows neither files nor budgets.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta

from edgebert.records import Record

Milliseconds = Annotated[float, Meta(gt=0)]


class Latency(Record, frozen=True):
    """The latencies measured for one shape; `p50_ci95_ms` is the 95 % interval of the median."""

    batch_size: Annotated[int, Meta(ge=1)]
    length: Annotated[int, Meta(ge=1)]
    runs: Annotated[int, Meta(ge=1)]
    p50_ms: Milliseconds
    p90_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    p50_ci95_ms: tuple[float, float]

    def at_percentile(self, percentile: float) -> float:
        """Return the latency at a percentile: the next higher measured one, so that it is never too low."""
        measured = {50: self.p50_ms, 90: self.p90_ms, 95: self.p95_ms, 99: self.p99_ms}
        return next(value for level, value in measured.items() if percentile <= level)


def predict_ms(
    latencies: Sequence[Latency], *, length: int, batch_size: int = 1, percentile: float = 50
) -> float | None:
    """Return the latency expected for a shape, or None if it is beyond the shapes that were measured."""

    def at_batch(batch: int) -> float | None:
        rows = [row for row in latencies if row.batch_size == batch]
        return _between(sorted({row.length for row in rows}), length, at_length(rows))

    def at_length(rows: Sequence[Latency]) -> Callable[[int], float | None]:
        by_length = {row.length: row.at_percentile(percentile) for row in rows}
        return by_length.get

    return _between(sorted({row.batch_size for row in latencies}), batch_size, at_batch)


def _between(measured: Sequence[int], asked: int, cost: Callable[[int], float | None]) -> float | None:
    """Return the cost at `asked`, on the line between the measured sizes beside it, or that of the smallest."""
    place = bisect_left(measured, asked)
    if place == len(measured):
        return None
    if place == 0 or measured[place] == asked:
        return cost(measured[place])
    low, high = measured[place - 1], measured[place]
    low_cost, high_cost = cost(low), cost(high)
    if low_cost is None or high_cost is None:
        return high_cost
    return low_cost + (high_cost - low_cost) * (asked - low) / (high - low)
