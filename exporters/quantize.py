"""Turns float32 matrices into int8 rows with one scale a row (symmetric, so that 0 stays 0)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class QuantizedRows:
    """`values` (rows, columns) int8 and `scales` (rows,) float32: a matrix is values * scales[:, None]."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]

    def dequantized(self) -> NDArray[np.float32]:
        """Return the float32 matrix (rows, columns) that the int8 values stand for."""
        return self.values.astype(np.float32) * self.scales[:, None]


def quantize_rows(matrix: NDArray[np.float32]) -> QuantizedRows:
    """Round each row of a matrix to 255 levels between plus and minus its largest absolute value."""
    scales = np.abs(matrix).max(axis=1) / np.float32(127)
    scales[scales < np.finfo(np.float32).tiny] = 1  # a padding row may be all zero
    values = np.clip(np.rint(matrix / scales[:, None]), -127, 127).astype(np.int8)
    return QuantizedRows(values, scales)
