"""Latencies and errors of architectures that were neither measured nor trained, from those of others that were.

Knows neither files nor how latencies are measured and surrogates are trained. Needs no torch.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from edgebert.elastic.bort.architecture import Architecture
from edgebert.records import Record

_FOLDS = 8
_REPEATS = 4
_USUAL = 0.02  # what a good measurement may be off
# Without it two measurements predict made-up latencies 40 % off and not 24 %; with 48 it changes nothing.
_LATENCY_RIDGE = 1e-6
_ERROR_RIDGE = 0.1  # a few trained candidates do not yet say what depends on what


class PredictionError(Record, frozen=True):
    """How far predictions are off, as shares of what was measured: |predicted / measured - 1| of so many."""

    count: int
    median: float
    p95: float

    @classmethod
    def of(
        cls, predicted_ms: Mapping[Architecture, float], measured_ms: Mapping[Architecture, float]
    ) -> "PredictionError":
        """Return how far predictions are off."""
        errors = [abs(ms / measured_ms[one] - 1) for one, ms in predicted_ms.items()]
        return cls(len(errors), round(float(np.median(errors)), 4), round(float(np.percentile(errors, 95)), 4))


def predict_ms(wanted: Sequence[Architecture], measured_ms: Mapping[Architecture, float]) -> dict[Architecture, float]:
    """Return the latencies of architectures at one length, from those of some that were measured.

    A network costs something at all, and in each layer for its products, which grow with H * H and H * I, for its
    attention, by head and dimension, and for what is done neuron by neuron. The fit has the least squares of relative
    errors. Then each hidden size and number of heads is scaled by the median of what its own measurements are off.
    """
    parts, times = _parts(measured_ms), np.array(list(measured_ms.values()))
    shares = parts / times[:, None]
    # A row more for each part keeps parts that look alike from growing apart.
    ridge = np.diag(np.sqrt(_LATENCY_RIDGE * (shares**2).sum(axis=0)))
    counted = np.ones(len(times))
    for _ in range(_REPEATS):
        # Not negative, since no part costs less than nothing.
        weights, _ = nnls(np.vstack([shares * counted[:, None], ridge]), np.append(counted, np.zeros(len(ridge))))
        # What is far off counts less (Huber's weights): a slow stretch of the machine must not bend the rest.
        off_by = np.abs(shares @ weights - 1)
        counted = 1 / np.sqrt(np.maximum(1, off_by / max(_USUAL, 1.5 * np.median(off_by))))

    # How well kernels do with a size is in no sum of products. The fewer measurements say so, the less they scale.
    off: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one, log in zip(measured_ms, -np.log(shares @ weights), strict=True):
        off[one.pair].append(log)
    scales = {pair: np.exp(np.median(logs) * len(logs) / (len(logs) + 1)) for pair, logs in off.items()}
    found = zip(wanted, _parts(wanted) @ weights, strict=True)
    return {one: float(ms * scales.get(one.pair, 1.0)) for one, ms in found}


def _parts(architectures: Iterable[Architecture]) -> NDArray[np.float64]:
    """Return what the times of networks are made of, (networks, parts), each about 1 for the paper's largest."""
    rows = []
    for one in architectures:
        heads, hidden, ffn, full = one.heads / 16, one.hidden / 1024, one.ffn / 3072, (one.depth - 1) / 12
        layers = [hidden * hidden, hidden * ffn, hidden, ffn, heads, 1.0]
        # The last layer computes one token, so its products are counted apart.
        rows.append([*(full * part for part in layers), 1.0, hidden, hidden * hidden, hidden * ffn, heads])
    return np.array(rows)


def cross_validated(measured_ms: Mapping[Architecture, float]) -> PredictionError:
    """Return how far predictions from seven eighths of the measurements are off, for the other eighth."""
    order = list(measured_ms)
    random.Random(0).shuffle(order)
    predicted: dict[Architecture, float] = {}
    for fold in range(min(_FOLDS, len(order))):
        left = order[fold::_FOLDS]
        predicted |= predict_ms(left, {one: ms for one, ms in measured_ms.items() if one not in left})
    return PredictionError.of(predicted, measured_ms)


def estimate_errors(
    wanted: Sequence[Architecture], errors: Mapping[Architecture, float]
) -> tuple[dict[Architecture, float], float]:
    """Return the errors of architectures, from those of some that were trained, and how far estimates are off.

    log e is a linear function of the logarithms of depth, hidden size and FFN neurons; how far the known ones are from
    it is the root mean square of logarithms.
    """
    rows, logs = _logarithms(errors), np.log(list(errors.values()))
    ridge = np.sqrt(_ERROR_RIDGE) * np.eye(rows.shape[1])[1:]  # not of the constant
    weights = np.linalg.lstsq(np.vstack([rows, ridge]), np.append(logs, np.zeros(len(ridge))), rcond=None)[0]
    # The weights were fitted to these errors: so many of them say nothing about the rest.
    squares = ((rows @ weights - logs) ** 2).sum()
    rms = np.sqrt(squares / max(1, len(logs) - rows.shape[1]))
    return dict(zip(wanted, np.exp(_logarithms(wanted) @ weights).tolist(), strict=True)), float(rms)


def _logarithms(architectures: Iterable[Architecture]) -> NDArray[np.float64]:
    """Return the terms of estimates, (architectures, terms)."""
    return np.array(
        [[1.0, math.log(one.depth), math.log(one.hidden / 768), math.log(one.ffn / 768)] for one in architectures]
    )
