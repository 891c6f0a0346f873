"""The shapes that networks were compiled for, each for one alone, and how requests of other shapes come to them."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgebert.engines.engine import Options
from edgebert.errors import OutputError
from edgebert.inputs.tokenization import Arrays

# Each holds a copy of the weights.
_MOST_SHAPES = 16
_LARGEST = 1024
_NAMES = ("lengths", "batch_sizes")


@dataclass(frozen=True)
class FixedShapes:
    """A network for each of some lengths and each of some batch sizes, both in ascending order.

    Shorter inputs are padded to the next length; a batch is run in parts of these sizes, the last one filled up.
    """

    lengths: tuple[int, ...]
    batch_sizes: tuple[int, ...]

    @classmethod
    def of(cls, options: Options) -> "FixedShapes | None":
        """Return the shapes that an engine's options name; None where they name none, or not as `options` does."""
        if tuple(name for name, _ in options) != _NAMES:
            return None
        # Python refuses to read the largest numbers.
        numbers = [[one for one in value.split(",") if one.isdecimal() and len(one) < 5] for _, value in options]
        shapes = cls(*(tuple(map(int, some)) for some in numbers))
        return shapes if shapes.are_sound and shapes.options == options else None

    @property
    def options(self) -> Options:
        """The options of an engine that name these shapes."""
        return tuple((name, ",".join(map(str, getattr(self, name)))) for name in _NAMES)

    @property
    def are_sound(self) -> bool:
        """Whether they are in order, none too large, and not too many to be held at once."""
        sizes = (self.lengths, self.batch_sizes)
        in_order = all(
            list(each) == sorted(set(each)) and each and 1 <= each[0] <= each[-1] <= _LARGEST for each in sizes
        )
        return in_order and len(self.lengths) * len(self.batch_sizes) <= _MOST_SHAPES

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield each shape, (batch size, length)."""
        return itertools.product(self.batch_sizes, self.lengths)

    def padded(self, length: int) -> int:
        """Return the next of the lengths.

        Raises:
            OutputError: there is none.
        """
        place = bisect_left(self.lengths, length)
        if place == len(self.lengths):
            raise OutputError(f"expected at most {self.lengths[-1]} tokens, found {length}; profile longer ones")
        return self.lengths[place]

    def parts(self, rows: int) -> Iterator[int]:
        """Yield the batch sizes that a batch of so many rows is run in."""
        while rows > 0:
            size = self.batch_sizes[max(0, bisect_left(self.batch_sizes, rows + 1) - 1)]
            yield size
            rows -= size


def filled(inputs: Arrays, start: int, shape: Sequence[int]) -> Arrays:
    """Return the rows of a batch from `start` on in a larger shape, (rows, length); what is added is padding."""
    found = {}
    for name, values in inputs.items():
        part = values[start : start + shape[0]]
        if part.shape == tuple(shape):
            found[name] = part
        else:
            found[name] = np.zeros(shape, part.dtype)
            found[name][: part.shape[0], : part.shape[1]] = part
    return found
