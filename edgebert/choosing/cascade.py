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

_THRESHOLDS = np.arange(1, 101) / 100
_ROUNDING = 1e-9  # a quality here is a ratio of whole numbers: this forgives its rounding and nothing else


@dataclass(frozen=True)
class Cascade:
    """Two options and the confidence from which the first one's answer is kept.

    `share_second` is how often the second was asked for the evaluation data, of 1, and `quality` that of
    the two together there. `expected_ms` is what a request costs on average, `bound_ms` what it costs if both are run.
    """

    first: Option
    second: Option
    threshold: float
    share_second: float
    quality: float
    expected_ms: float
    bound_ms: float

    @property
    def peak_memory_mb(self) -> float:
        """What both need."""
        return self.first.entry.peak_memory_mb + self.second.entry.peak_memory_mb


def best_cascade(
    answers: Answers, options: Sequence[Option], *, quality: float, latency_ms: float | None, memory_mb: float | None
) -> Cascade | None:
    """Return the two options that are expected to cost least, of all that are good enough within the limits.

    Both together must keep within `latency_ms` at the percentile of the options' bounds, and within `memory_mb`; None
    is no limit. Of equally cheap ones that which asks the second less often wins, then the smaller. Thresholds have
    two digits: every one that is tried is one more chance to do well on the evaluation data by luck alone, and a
    finer one gains next to nothing. The quality is still that of the best of many, so expect a little less elsewhere.

    Returns None if no two are cheaper than the cheapest single option that is good enough within the limits.
    """
    most_ms, most_mb = (np.inf if limit is None else limit for limit in (latency_ms, memory_mb))
    alone = [
        option.expected_ms
        for option in options
        if option.quality >= quality - _ROUNDING
        and option.bound_ms <= most_ms
        and option.entry.peak_memory_mb <= most_mb
    ]
    within = [
        cascade
        for cascade in _cheapest_of_each_first(answers, options, quality, most_ms, most_mb)
        if cascade.expected_ms < min(alone, default=np.inf)
    ]
    return min(within, key=_rank, default=None)


def outcome(answers: Answers, first_id: str, second_id: str, threshold: float) -> tuple[float, float]:
    """Return the quality of two networks on the evaluation data, and how often the second is asked, of 1."""
    tally = _Tally(answers)
    asked, qualities = tally.after(first_id, [threshold])
    return float(qualities[tally.places[second_id], 0]), float(asked[0]) / answers.samples


class _Tally:
    """Counts what cascades would have made of the evaluation data."""

    def __init__(self, answers: Answers):
        self.places = {one.id: place for place, one in enumerate(answers.subnetworks)}
        self._confidences = np.array([one.confidences for one in answers.subnetworks])
        self._gained = np.array([one.gained for one in answers.subnetworks])  # (networks, samples)
        self._possible = np.array([one.possible for one in answers.subnetworks])

    def after(self, first_id: str, thresholds: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return for each threshold how many samples a network hands on (thresholds,), and the quality in the end with
        each network as the second (networks, thresholds)."""
        first = self.places[first_id]
        order = np.argsort(self._confidences[first])
        asked = np.searchsorted(self._confidences[first, order], thresholds)

        gained = _with_second(self._gained[:, order], first, asked)
        possible = _with_second(self._possible[:, order], first, asked)
        return asked, gained / np.maximum(possible, 1)  # where nothing is possible nothing is gained either


def _with_second(counts: NDArray[np.int64], first: int, asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums of counts (networks, samples), the least confident samples first: the second network's for as many
    as are handed on, the first's for the others (networks, thresholds)."""
    sums = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    return np.asarray(sums[:, asked] + sums[first, -1] - sums[first, asked])


def _cheapest_of_each_first(
    answers: Answers, options: Sequence[Option], quality: float, most_ms: float, most_mb: float
) -> Iterator[Cascade]:
    """Yield the best cascade for each option that can be the first."""
    tally, samples = _Tally(answers), answers.samples
    after = cache(lambda subnet_id: tally.after(subnet_id, _THRESHOLDS))
    options = [option for option in options if option.entry.id in tally.places]
    places = np.array([tally.places[option.entry.id] for option in options], dtype=np.int64)
    expected_ms = np.array([option.expected_ms for option in options])
    bound_ms = np.array([option.bound_ms for option in options])
    memory_mb = np.array([option.entry.peak_memory_mb for option in options])
    for first in options:
        asked, qualities = after(first.entry.id)
        seconds = (places != tally.places[first.entry.id]) & (expected_ms > first.expected_ms)
        seconds &= (first.bound_ms + bound_ms <= most_ms) & (first.entry.peak_memory_mb + memory_mb <= most_mb)
        enough = qualities[places] >= quality - _ROUNDING
        costs = first.expected_ms + asked / samples * expected_ms[:, None]  # (options, thresholds)
        costs[~(seconds[:, None] & enough)] = np.inf
        if costs.min() < np.inf:
            cheapest = np.argwhere(costs == costs.min()).tolist()
            yield min(
                (_cascade(first, options[n], k, asked[k] / samples, qualities[places[n], k]) for n, k in cheapest),
                key=_rank,
            )


def _cascade(first: Option, second: Option, place: int, share_second: float, quality: float) -> Cascade:
    """Return the cascade of two options with a threshold of that place."""
    return Cascade(
        first=first,
        second=second,
        threshold=float(_THRESHOLDS[place]),
        share_second=float(share_second),
        quality=float(quality),
        expected_ms=first.expected_ms + float(share_second) * second.expected_ms,
        bound_ms=first.bound_ms + second.bound_ms,
    )


def _rank(cascade: Cascade) -> tuple[float, float, float, float]:
    # Of thresholds that hand on the same samples the highest, which hands on whatever lies between them.
    return cascade.expected_ms, cascade.share_second, cascade.peak_memory_mb, -cascade.threshold
