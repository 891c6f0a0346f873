"""Two networks in a row: a cheap one answers, and a dearer one where the first is not confident enough.

Numbers in, one choice out: which two, and the confidence that is enough. Knows neither clocks nor how networks are run.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgebert.choosing.menu import Option
from edgebert.inputs.bundle import Answers

_Number = TypeVar("_Number", np.int64, np.float64)

# Every threshold that is tried is one more chance to do well on the evaluation data by luck alone, and a finer one
# gains next to nothing.
_THRESHOLDS = np.arange(1, 101) / 100
# A quality here is a ratio of whole numbers: this forgives its rounding and nothing else.
_ROUNDING = 1e-9
# How many standard errors of its loss a cascade must stay away from what is promised. Of a single one 1 in 20 would
# lose more on other data; of the best of many it is more (docs/log.md).
_DOUBT = 1.645
# What an interval of 95 % reaches to either side.
_WIDE = 1.96


@dataclass(frozen=True)
class Cascade:
    """Two options and the confidence from which the first one's answer is kept.

    `share_second` is how often the second was asked for the evaluation data, of 1, and `quality` that of the two
    together there. By so much they are worse there than the network that they stand for: `loss`, which is negative if
    they are better, with its standard error.
    """

    first: Option
    second: Option
    threshold: float
    share_second: float
    quality: float
    loss: float
    loss_error: float

    @property
    def loss_ci95(self) -> tuple[float, float]:
        """The interval in which the loss is on other data of the same kind, 19 times of 20."""
        return self.loss - _WIDE * self.loss_error, self.loss + _WIDE * self.loss_error

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


@dataclass(frozen=True)
class CascadeLimits:
    """What a cascade must keep: at most so much worse than a network (`reference`), so slow and so large."""

    reference: str
    tolerance: float
    latency_ms: float = math.inf
    memory_mb: float = math.inf


def best_cascade(answers: Answers, options: Sequence[Option], limits: CascadeLimits) -> Cascade | None:
    """Return the two options that are expected to cost least, of all that are surely good enough within the limits.

    Surely: what they lose against the reference on the evaluation data, and `_DOUBT` standard errors of that, are
    within the tolerance. Both together must keep within the latency at the percentile of the options' bounds, and
    within the memory. Of equally cheap ones that which asks the second less often wins, then the smaller.

    Returns None if no two are cheaper than the cheapest single option that is good enough within the limits.
    """
    counts = CascadeCounts(answers)
    most_ms, most_mb = limits.latency_ms, limits.memory_mb
    least = counts.quality(limits.reference) - limits.tolerance - _ROUNDING
    best = min(_cheapest_of_each_first(counts, options, limits), key=_rank, default=None)
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
        first, order, asked = self._handed_on(first_id, thresholds)
        gained = _with_second(self._gained[:, order], first, asked)
        possible = _with_second(self._possible[:, order], first, asked)
        # Where nothing is possible nothing is gained either.
        return asked / len(order), gained / np.maximum(possible, 1)

    def _handed_on(self, first_id: str, thresholds: ArrayLike) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
        """Return the place of a network, its samples from the least confident on, and how many are handed on."""
        first = self.places[first_id]
        order = np.argsort(self._confidences[first])
        return first, order, np.searchsorted(self._confidences[first, order], thresholds)

    def quality(self, subnet_id: str) -> float:
        """Return that of a network alone."""
        place = self.places[subnet_id]
        return float(self._gained[place].sum() / max(self._possible[place].sum(), 1))

    def errors(self, first_id: str, thresholds: ArrayLike, reference: str) -> NDArray[np.float64]:
        """Return the standard errors of what `after` makes lose against a network (networks, thresholds).

        By the delta method: a quality is a ratio of sums, of which each sample moves the one and the other.
        """
        first, order, asked = self._handed_on(first_id, thresholds)
        samples = len(order)
        gained, possible = self._gained[:, order].astype(float), self._possible[:, order].astype(float)

        def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return _with_second(values, first, asked)

        place = self.places[reference]
        scale = max(possible[place].sum(), 1) / samples
        moved = (gained[place] - self.quality(reference) * possible[place]) / scale  # by each sample, the reference
        all_possible = np.maximum(sums(possible), 1)
        quality, scale = sums(gained) / all_possible, all_possible / samples
        squares = sums(gained**2) - 2 * quality * sums(gained * possible) + quality**2 * sums(possible**2)
        products = sums(moved * gained) - quality * sums(moved * possible)
        total = (moved**2).sum() - 2 * products / scale + squares / scale**2
        return np.asarray(np.sqrt(np.maximum(total, 0)) / samples)


def _with_second(counts: NDArray[_Number], first: int, asked: NDArray[np.int64]) -> NDArray[_Number]:
    """Return sums of counts (networks, samples), the least confident samples first: the second network's for as many
    as are handed on, the first's for the others (networks, thresholds)."""
    # Sums from the least confident sample on, with a zero in front: of all thresholds at once.
    sums = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    return np.asarray(sums[:, asked] + sums[first, -1] - sums[first, asked])


def _cheapest_of_each_first(
    counts: CascadeCounts, options: Sequence[Option], limits: CascadeLimits
) -> Iterator[Cascade]:
    """Yield the cascades that cost least, for each option that can be the first."""
    quality = counts.quality(limits.reference)
    # One network may be run in several ways.
    after = cache(lambda subnet_id: counts.after(subnet_id, _THRESHOLDS))
    errors_after = cache(lambda subnet_id: counts.errors(subnet_id, _THRESHOLDS, limits.reference))
    options = [option for option in options if option.entry.id in counts.places]
    places = np.array([counts.places[option.entry.id] for option in options], dtype=np.int64)
    expected_ms = np.array([option.expected_ms for option in options])
    bound_ms = np.array([option.bound_ms for option in options])
    memory_mb = np.array([option.entry.memory_bound_mb for option in options])
    for first in options:
        (shares, qualities), errors = after(first.entry.id), errors_after(first.entry.id)
        is_good = quality - qualities + _DOUBT * errors <= limits.tolerance + _ROUNDING
        # A second that is no dearer had better answer alone.
        seconds = (places != counts.places[first.entry.id]) & (expected_ms > first.expected_ms)
        seconds &= first.bound_ms + bound_ms <= limits.latency_ms
        seconds &= first.entry.memory_bound_mb + memory_mb <= limits.memory_mb
        costs = first.expected_ms + shares * expected_ms[:, None]  # (options, thresholds)
        costs[~(seconds[:, None] & is_good[places])] = np.inf
        if costs.min() < np.inf:
            for n, k in np.argwhere(costs == costs.min()).tolist():
                reached, error = qualities[places[n], k].item(), errors[places[n], k].item()
                found = (_THRESHOLDS[k].item(), shares[k].item(), reached, quality - reached, error)
                yield Cascade(first, options[n], *found)


def _rank(cascade: Cascade) -> tuple[float, float, float, float]:
    # Of thresholds that hand on the same samples the highest, which hands on whatever lies between them.
    return cascade.expected_ms, cascade.share_second, cascade.memory_bound_mb, -cascade.threshold
