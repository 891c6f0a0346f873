"""Two networks in a row: a cheap one answers, and a dearer one where the first is not confident enough.

Numbers in, one choice out: which two, and the confidence that is enough. Knows neither clocks nor how networks are run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgebert.choosing.menu import Option
from edgebert.inputs.bundle import Answers

# Every threshold that is tried is one more chance to do well on the evaluation data by luck alone, and a finer one
# gains next to nothing.
_THRESHOLDS = np.arange(1, 101) / 100
# A quality here is a ratio of whole numbers: this forgives its rounding and nothing else.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Cascade:
    """Two options and the confidence from which the first one's answer is kept.

    `share_second` is how often the second was asked for the evaluation data, of 1, and `quality` that of the two
    together there.
    """

    first: Option
    second: Option
    threshold: float
    share_second: float
    quality: float

    @property
    def expected_ms(self) -> float:
        """What a request costs on average."""
        return self.first.expected_ms + self.share_second * self.second.expected_ms

    @property
    def bound_ms(self) -> float:
        """What a request costs if both are asked."""
        return self.first.bound_ms + self.second.bound_ms

    @property
    def memory_bound_mb(self) -> float:
        """What both need at most; infinite where that of one is not known."""
        return self.first.entry.memory_bound_mb + self.second.entry.memory_bound_mb


def best_cascade(
    answers: Answers, options: Sequence[Option], *, quality: float, latency_ms: float | None, memory_mb: float | None
) -> Cascade | None:
    """Return the two options that are expected to cost least, of all that are good enough within the limits.

    Both together must keep within `latency_ms` at the percentile of the options' bounds, and within `memory_mb`; None
    is no limit. Of equally cheap ones that which asks the second less often wins, then the smaller. The quality is
    that of the best of many, so expect a little less on other data.

    Returns None if no two are cheaper than the cheapest single option that is good enough within the limits.
    """
    most_ms, most_mb = (np.inf if limit is None else limit for limit in (latency_ms, memory_mb))
    least = quality - _ROUNDING
    best = min(_cheapest_of_each_first(answers, options, least, most_ms, most_mb), key=_rank, default=None)
    within = (option for option in options if option.bound_ms <= most_ms and option.entry.memory_bound_mb <= most_mb)
    alone_ms = min((option.expected_ms for option in within if option.quality >= least), default=np.inf)
    return best if best is not None and best.expected_ms < alone_ms else None


class CascadeCounts:
    """Counts what cascades would have made of the evaluation data."""

    def __init__(self, answers: Answers):
        self.places = {one.id: place for place, one in enumerate(answers.subnetworks)}
        self._confidences = np.array([one.confidences for one in answers.subnetworks])
        self._gained = np.array([one.gained for one in answers.subnetworks])  # (networks, samples)
        self._possible = np.array([one.possible for one in answers.subnetworks])

    def after(self, first_id: str, thresholds: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return for each threshold the share of samples that a network hands on (thresholds,), and the quality in the
        end with each network as the second (networks, thresholds)."""
        first = self.places[first_id]
        order = np.argsort(self._confidences[first])
        asked = np.searchsorted(self._confidences[first, order], thresholds)

        gained = _with_second(self._gained[:, order], first, asked)
        possible = _with_second(self._possible[:, order], first, asked)
        # Where nothing is possible nothing is gained either.
        return asked / len(order), gained / np.maximum(possible, 1)


def _with_second(counts: NDArray[np.int64], first: int, asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums of counts (networks, samples), the least confident samples first: the second network's for as many
    as are handed on, the first's for the others (networks, thresholds)."""
    # Sums from the least confident sample on, with a zero in front: of all thresholds at once.
    sums = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    return np.asarray(sums[:, asked] + sums[first, -1] - sums[first, asked])


def _cheapest_of_each_first(
    answers: Answers, options: Sequence[Option], least: float, most_ms: float, most_mb: float
) -> Iterator[Cascade]:
    """Yield the cascades that cost least, for each option that can be the first."""
    counts = CascadeCounts(answers)
    after = cache(lambda subnet_id: counts.after(subnet_id, _THRESHOLDS))  # one network may be run in several ways
    options = [option for option in options if option.entry.id in counts.places]
    places = np.array([counts.places[option.entry.id] for option in options], dtype=np.int64)
    expected_ms = np.array([option.expected_ms for option in options])
    bound_ms = np.array([option.bound_ms for option in options])
    memory_mb = np.array([option.entry.memory_bound_mb for option in options])
    for first in options:
        shares, qualities = after(first.entry.id)
        # A second that is no dearer had better answer alone.
        seconds = (places != counts.places[first.entry.id]) & (expected_ms > first.expected_ms)
        seconds &= (first.bound_ms + bound_ms <= most_ms) & (first.entry.memory_bound_mb + memory_mb <= most_mb)
        costs = first.expected_ms + shares * expected_ms[:, None]  # (options, thresholds)
        costs[~(seconds[:, None] & (qualities[places] >= least))] = np.inf
        if costs.min() < np.inf:
            for n, k in np.argwhere(costs == costs.min()).tolist():
                quality = qualities[places[n], k].item()
                yield Cascade(first, options[n], _THRESHOLDS[k].item(), shares[k].item(), quality)


def _rank(cascade: Cascade) -> tuple[float, float, float, float]:
    # Of thresholds that hand on the same samples the highest, which hands on whatever lies between them.
    return cascade.expected_ms, cascade.share_second, cascade.memory_bound_mb, -cascade.threshold
