"""What errors architectures would have that were not trained, from those of some that were. Needs no torch."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgebert.elastic.bort.architecture import Architecture

_RIDGE = 0.1  # a few trained candidates do not yet say what depends on what


class ErrorModel:
    """The error of any architecture: log e is a linear function of the logarithms of depth, hidden size and FFN.

    Without any known error all are expected to be 1. `rms` is the root mean square of what the logarithms of the known
    errors are off.
    """

    def __init__(self, errors: Mapping[Architecture, float]):
        self._weights: NDArray[np.float64] = np.zeros(4)
        self.rms = 0.0
        if not errors:
            return
        rows = np.array([_logarithms(one) for one in errors])
        logs = np.log(list(errors.values()))
        ridge = np.diag([0.0, *[_RIDGE] * (rows.shape[1] - 1)])
        self._weights = np.linalg.solve(rows.T @ rows + ridge, rows.T @ logs)
        misses = rows @ self._weights - logs
        self.rms = float(np.sqrt((misses**2).sum() / max(1, len(logs) - rows.shape[1])))

    def predict(self, one: Architecture) -> float:
        """Return the error that is expected of an architecture."""
        return float(np.exp(_logarithms(one) @ self._weights))


def _logarithms(one: Architecture) -> NDArray[np.float64]:
    return np.array([1.0, math.log(one.depth), math.log(one.hidden / 768), math.log(one.ffn / 768)])
