"""Rounds float32, to int8: matrices to rows with one scale each, and what enters a product to 256 levels of a range.

And to float16, which fp16 is stored and computed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import ExportError

# The largest number that float16 holds.
LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class QuantizedRows:
    """`values` (rows, columns) int8 and `scales` (rows,) float32: a matrix is values * scales[:, None]."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]

    def dequantized(self) -> NDArray[np.float32]:
        """Return the float32 matrix (rows, columns) that the int8 values stand for."""
        return self.values.astype(np.float32) * self.scales[:, None]


# The largest int8 weight, with all bits and with 7: two products of these with uint8 add up to less than 2^15, at which
# the sums of x86 processors without VNNI saturate.
_LARGEST, _LARGEST_OF_7_BITS = 127, 63


def quantize_rows(matrix: NDArray[np.float32], *, reduce_range: bool = False) -> QuantizedRows:
    """Round each row of a matrix to 255 levels between plus and minus its largest absolute value (0 stays 0).

    With `reduce_range` to 127 levels, of 7 bits.
    """
    largest = _LARGEST_OF_7_BITS if reduce_range else _LARGEST
    # A scale for each output: taken from the whole matrix, it serves every prefix of its rows or columns.
    scales = np.abs(matrix).max(axis=1) / np.float32(largest)
    scales[scales < np.finfo(np.float32).tiny] = 1  # a padding row may be all zero
    values = np.clip(np.rint(matrix / scales[:, None]), -largest, largest).astype(np.int8)
    return QuantizedRows(values, scales)


@dataclass(frozen=True)
class Range:
    """The values from `low`, at most 0, to `high`, at least 0, that 256 levels stand for, 0 being one of them."""

    low: float
    high: float

    @classmethod
    def of(cls, x: NDArray[np.float32]) -> "Range":
        """Return the range from the least to the greatest value (ONNX DynamicQuantizeLinear)."""
        return cls(min(float(x.min()), 0.0), max(float(x.max()), 0.0))

    @property
    def scale(self) -> np.float32:
        """The step from one level to the next."""
        step: np.float32 = np.float32((self.high - self.low) / 255)
        return step if step > 0 else np.float32(1)

    @property
    def zero_point(self) -> int:
        """The level, from 0 to 255, that stands for 0."""
        return int(np.clip(np.rint(np.float32(-self.low) / self.scale), 0, 255))

    def rounded(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each value's nearest level; what lies outside becomes the last one."""
        levels = np.clip(np.rint(x / self.scale) + self.zero_point, 0, 255)
        return np.asarray((levels - self.zero_point).astype(np.float32) * self.scale)


@dataclass(frozen=True)
class InputRounding:
    """How the input of a product is rounded: the columns that are `outliers` not at all, the others to 256 levels of a
    range, where there is none of their own one in each request."""

    outliers: tuple[int, ...] = ()
    range: Range | None = None

    def rest(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an input (..., columns) with zeros for its outliers."""
        rest = x.copy()
        rest[..., list(self.outliers)] = 0
        return rest

    def rounded(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the product computes with in the place of its input."""
        rest = self.rest(x)
        return (self.range or Range.of(rest)).rounded(rest) + (x - rest)


def check_fits_half(x: NDArray[np.float32], what: str) -> None:
    """Check that float16 holds numbers, which are called `what`.

    Raises:
        ExportError: it does not; names the largest.
    """
    largest = float(np.abs(x).max(initial=0))
    # So that what is not a number is refused too.
    if not largest <= LARGEST_HALF:
        found = f"expected {what} of at most {LARGEST_HALF:.0f} in fp16, found {largest:.6g}"
        raise ExportError(f"{found}; export fp32 or int8 instead")


# By the name of the product's unit: 3.ffn_in.
InputRoundings = Mapping[str, InputRounding]
