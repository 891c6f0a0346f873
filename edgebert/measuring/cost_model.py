"""What a request of any shape is expected to cost, from the shapes that were measured. Knows neither files nor budgets.

An encoder's cost grows with the tokens, by its products, and with the tokens times the length, by its attention; each
request and each row cost something of their own. This is fitted, and bent to go through what was measured.
"""

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.records import Count, Positive, Record

# All sets of the four terms of a cost, the small ones first.
_CHOICES = [list(some) for size in range(1, 5) for some in itertools.combinations(range(4), size)]


class Latency(Record, frozen=True):
    """The latencies measured for one shape; `p50_ci95_ms` is the 95 % interval of the median.

    Of `runs` requests so many in a row as `runs_per_sample` are one sample, their mean: more than one where a single
    run is too short for the clock. The percentiles are those of the samples.
    """

    batch_size: Count
    length: Count
    runs: Count
    runs_per_sample: Count
    p50_ms: Positive
    p90_ms: Positive
    p95_ms: Positive
    p99_ms: Positive
    p50_ci95_ms: tuple[Positive, Positive]

    def __post_init__(self) -> None:
        if self.runs < self.runs_per_sample:
            raise ValueError(f"expected at least the {self.runs_per_sample} runs of one sample, found {self.runs}")
        if not self.p50_ms <= self.p90_ms <= self.p95_ms <= self.p99_ms:
            found = ", ".join(f"{ms:g}" for ms in (self.p50_ms, self.p90_ms, self.p95_ms, self.p99_ms))
            raise ValueError(f"expected p50_ms, p90_ms, p95_ms and p99_ms in ascending order, found {found}")
        low_ms, high_ms = self.p50_ci95_ms
        if not low_ms <= self.p50_ms <= high_ms:
            raise ValueError(
                f"expected p50_ms within its interval, found {self.p50_ms:g} and {low_ms:g} to {high_ms:g}"
            )

    def at_percentile(self, percentile: float) -> float:
        """Return the latency at a percentile: the next higher measured one, so that it is never too low."""
        measured = {50: self.p50_ms, 90: self.p90_ms, 95: self.p95_ms, 99: self.p99_ms}
        return next(value for level, value in measured.items() if percentile <= level)


class CostModel:
    """The cost of any shape for one sub-network and way, from a grid of shapes.

    `pad_to` are lengths to pad to; with `fixed` shapes a batch is run in parts.
    """

    def __init__(self, measured: Sequence[Latency], pad_to: Sequence[int] = (), fixed: FixedShapes | None = None):
        self._measured = {(row.batch_size, row.length): row for row in measured}
        self._batch_sizes = sorted({row.batch_size for row in measured})
        self._lengths = sorted({row.length for row in measured})
        self._pad_to, self._fixed = sorted(pad_to), fixed
        self._grids: dict[float, NDArray[np.float64]] = {}

    def expected_ms(self, length: int, batch_size: int = 1, percentile: float = 50) -> float:
        """Return the latency expected for a shape; beyond the measured ones, what the fit gives.

        A batch that is larger than any measured one is taken for inputs that are as many times longer.
        """
        if self._fixed is not None and batch_size not in self._batch_sizes:
            return sum(self.expected_ms(length, part, percentile) for part in self._fixed.parts(batch_size))
        length, most = self._padded(length), self._batch_sizes[-1]
        if batch_size > most:
            length, batch_size = round(length * batch_size / most), most
        fitted = float(_terms(batch_size, length) @ self._weights)
        # Straight lines are drawn between the misses of the fit, not between latencies, which bend. So it is off by
        # 1.7 % in the median and 6.2 % at the 95th percentile (benchmarks/cost_model.py).
        return fitted * self._between(self._grid(percentile) / self._fitted, length, batch_size)

    def bound_ms(self, length: int, batch_size: int = 1, percentile: float = 50) -> float | None:
        """Return a latency that a shape should not exceed, or None if it is beyond the measured ones."""
        # Cost grows faster than in proportion, so the straight line between two measured shapes lies above it. Of 90
        # shapes 7 cost more than 2 % more, on two threads: the machine's other speed (benchmarks/cost_model.py).
        length = self._padded(length)
        if length > self._lengths[-1] or batch_size > self._batch_sizes[-1]:
            return None
        if self._fixed is not None:
            grid = self._grid(percentile)
            return sum(self._between(grid, length, part) for part in self._fixed.parts(batch_size))
        return self._between(self._grid(percentile), length, batch_size)

    def _padded(self, length: int) -> int:
        place = bisect_left(self._pad_to, length)
        return self._pad_to[place] if place < len(self._pad_to) else length

    def _grid(self, percentile: float) -> NDArray[np.float64]:
        """Return the measured latencies (batch sizes, lengths) at a percentile."""
        if percentile not in self._grids:
            rows = [[self._measured[b, n].at_percentile(percentile) for n in self._lengths] for b in self._batch_sizes]
            self._grids[percentile] = np.array(rows)
        return self._grids[percentile]

    def _between(self, grid: NDArray[np.float64], length: int, batch_size: int) -> float:
        """Return the value on the straight lines between a grid's values, or at its rim."""
        of_batches = [np.interp(length, self._lengths, row) for row in grid]
        return float(np.interp(batch_size, self._batch_sizes, of_batches))

    @cached_property
    def _fitted(self) -> NDArray[np.float64]:
        return np.array([[_terms(b, n) @ self._weights for n in self._lengths] for b in self._batch_sizes])

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """The costs of a token, a request, a row, and a token that another looks at; least squares of relative errors.

        None can be negative, so the best of all the fits that leave some out is taken.
        """
        shapes = [(b, n) for b in self._batch_sizes for n in self._lengths]
        costs = self._grid(50).reshape(-1)
        terms = np.array([_terms(*shape) for shape in shapes]) / costs[:, None]
        best, least = np.zeros(4), np.inf
        for chosen in _CHOICES:
            weights = np.zeros(4)
            weights[chosen] = np.linalg.lstsq(terms[:, chosen], np.ones(len(shapes)), rcond=None)[0]
            error = float(((terms @ weights - 1) ** 2).sum())
            # By more than rounding: of fits that are as good that of the fewest terms stays.
            if (weights >= 0).all() and error < least - 1e-12:
                best, least = weights, error
        return best


def _terms(batch_size: int, length: int) -> NDArray[np.float64]:
    return np.array([batch_size * length, 1.0, batch_size, batch_size * length**2])
