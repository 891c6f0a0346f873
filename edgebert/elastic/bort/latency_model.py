"""What architectures cost that were not measured: a sum of the network's parts, fitted to those that were.

Knows neither files nor how latencies are measured. Needs no torch.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgebert.elastic.bort.architecture import Architecture
from edgebert.records import Record

_FOLDS = 8
_STILL = 1e-9
_REPEATS = 4
_USUAL = 0.02  # what a good measurement may be off


class PredictionError(Record, frozen=True):
    """How far predictions are off, as shares of what was measured: |predicted / measured - 1| of so many."""

    count: int
    median: float
    p95: float

    @classmethod
    def of(cls, predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> "PredictionError":
        """Return how far predictions are off."""
        errors = np.abs(np.array(predicted_ms) / np.array(measured_ms) - 1)
        return cls(len(errors), round(float(np.median(errors)), 4), round(float(np.percentile(errors, 95)), 4))


class LatencyModel:
    """The latency of any architecture at one length, from some that were measured.

    A network costs something at all, and in each layer for its products, which grow with H * H and H * I, for its
    attention, by head and dimension, and for what is done neuron by neuron; the last layer computes one token, so its
    products are counted apart. No part costs less than nothing. The fit has the least squares of relative errors, and
    those that are far off count less each time it is repeated (Huber's weights): a measurement in a slow stretch of the
    machine must not bend the rest. Then each hidden size and number of heads is scaled by the median of what its own
    measurements are off, the less the fewer they are.
    """

    def __init__(self, measured_ms: Mapping[Architecture, float]):
        parts = np.array([_parts(one) for one in measured_ms])
        times = np.array(list(measured_ms.values()))
        trusted = np.ones(len(times))
        for _ in range(_REPEATS):
            self._weights = _least_squares(parts / times[:, None], trusted)
            off_by = np.abs(parts @ self._weights / times - 1)
            trusted = 1 / np.maximum(1, off_by / max(_USUAL, 1.5 * float(np.median(off_by))))
        # How well kernels do with a size is in no sum of products.
        off: dict[tuple[int, int], list[float]] = defaultdict(list)
        for one, ms, fitted in zip(measured_ms, times, parts @ self._weights, strict=True):
            off[one.hidden, one.heads].append(float(np.log(ms / fitted)))
        self._scales = {
            pair: float(np.exp(np.median(logs) * len(logs) / (len(logs) + 1))) for pair, logs in off.items()
        }

    def predict_ms(self, one: Architecture) -> float:
        """Return the latency that is expected of an architecture."""
        return float(_parts(one) @ self._weights) * self._scales.get((one.hidden, one.heads), 1.0)


def cross_validated(measured_ms: Mapping[Architecture, float]) -> PredictionError:
    """Return how far models are off that were fitted to seven eighths of the measurements, for the other eighth."""
    order = list(measured_ms)
    random.Random(0).shuffle(order)
    predicted: dict[Architecture, float] = {}
    for fold in range(_FOLDS):
        left = order[fold::_FOLDS]
        known = {one: measured_ms[one] for one in order if one not in left}
        if left and known:
            model = LatencyModel(known)
            predicted |= {one: model.predict_ms(one) for one in left}
    return PredictionError.of(list(predicted.values()), [measured_ms[one] for one in predicted])


def _parts(one: Architecture) -> NDArray[np.float64]:
    """Return what the time of a network is made of, (parts,), each about 1 for the paper's largest."""
    heads, hidden, ffn, full = one.heads / 16, one.hidden / 1024, one.ffn / 3072, (one.depth - 1) / 12
    layers = [hidden * hidden, hidden * ffn, hidden, ffn, heads, 1.0]
    return np.array([*(full * part for part in layers), 1.0, hidden, hidden * hidden, hidden * ffn, heads])


def _least_squares(terms: NDArray[np.float64], trusted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights >= 0, (parts,), with which rows (measurements, parts) come nearest to 1 each.

    `trusted` (measurements,) says how much a row counts. By the method of Lawson and Hanson (1974, chapter 23): parts
    come in one by one, that which would help most first, and leave where they would cost less than nothing. A little
    ridge keeps parts that look alike from growing apart.
    """
    gram = terms.T @ (terms * trusted[:, None]) + 1e-6 * np.diag((terms**2).sum(axis=0) + _STILL)
    target = terms.T @ trusted
    weights = np.zeros(terms.shape[1])
    chosen = np.zeros(terms.shape[1], bool)
    for _ in range(3 * len(weights)):  # a part that comes and goes by rounding errors must not do so for ever
        helps = np.where(chosen, 0.0, (target - gram @ weights) / np.sqrt(np.diag(gram)))
        if helps.max() <= _STILL * np.abs(target).max() / np.sqrt(gram.max()):
            break
        # One more part comes in, then the weights are solved for until none of them is negative.
        chosen[helps.argmax()] = True
        while True:
            solved = np.zeros_like(weights)
            solved[chosen] = np.linalg.solve(gram[np.ix_(chosen, chosen)], target[chosen])
            below = chosen & (solved < 0)
            if not below.any():
                break
            # Go towards the solution as far as all weights stay at 0 or above, and leave out those that reach 0.
            weights += (weights[below] / (weights[below] - solved[below])).min() * (solved - weights)
            chosen &= weights > _STILL * weights.max()
            weights[~chosen] = 0.0
        weights = solved
    return weights
