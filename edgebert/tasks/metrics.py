"""How good answers are, as numbers: shares, F1, average precision and correlations, with their 95 % intervals.

Knows nothing about tasks: arrays in, numbers out. `samples` is the first dimension of every array.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64] | Floats
Interval = tuple[float, float]

_Z95 = NormalDist().inv_cdf(0.975)


def wilson_interval(hits: int, samples: int) -> Interval:
    """Return the 95 % interval of a share of `samples` (Wilson 1927)."""
    # The simpler interval of the normal distribution would be empty where all samples are hits.
    share, spread = hits / samples, _Z95**2 / samples
    centre = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / samples + spread / (4 * samples))
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(gained: Numbers, possible: Numbers) -> float:
    """Return the sum of `gained` (samples,) over that of `possible`; 0 where nothing was possible."""
    total = float(possible.sum())
    return float(gained.sum()) / total if total else 0.0


def ratio_interval(gained: Numbers, possible: Numbers) -> Interval:
    """Return the 95 % interval of `ratio`, by linearisation (Cochran 1977, section 6.4)."""
    samples, total = len(gained), float(possible.sum())
    if samples < 2 or not total:
        return 0.0, 1.0
    value = ratio(gained, possible)
    half = _Z95 * math.sqrt(samples / (samples - 1) * float(((gained - value * possible) ** 2).sum())) / total
    return max(0.0, value - half), min(1.0, value + half)


def average_precision(scores: Floats, wanted: NDArray[np.bool_]) -> float | None:
    """Return the mean precision at the ranks of the wanted samples; equal scores share one. None if none is wanted."""
    if not wanted.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(wanted[order])

    # A threshold lies behind the last of equal scores.
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    newly = np.diff(hits[last], prepend=0)
    return float((newly * hits[last] / (last + 1)).sum() / hits[-1])


def mean_average_precision(scores: Floats, wanted: NDArray[np.bool_]) -> float:
    """Return the average precision of each label (samples, labels), averaged over those that occur."""
    found = [average_precision(column, marks) for column, marks in zip(scores.T, wanted.T, strict=True)]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else 0.0


def pearson(first: Floats, second: Floats) -> float:
    """Return the linear correlation of two series (samples,); 0 where one is constant."""
    # numpy would divide by a deviation of 0 and warn.
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: Floats, second: Floats) -> float:
    """Return the correlation of the ranks of two series (samples,); 0 where one is constant."""
    return pearson(_ranks(first), _ranks(second))


def spearman_interval(value: float, samples: int) -> Interval:
    """Return the 95 % interval of a rank correlation, on Fisher's scale (Bonett and Wright 2000)."""
    if samples < 4:
        return -1.0, 1.0
    if abs(value) >= 1:
        return value, value
    half = _Z95 * math.sqrt((1 + value**2 / 2) / (samples - 3))
    return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value, counted from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])
