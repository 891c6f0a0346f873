"""The pieces of a weight file, each checked by a hash of its own: what a sub-network does not read is not checked.

Their file holds 40 bytes for each piece, in the order in which they lie: where it ends, as a number of 8 bytes, the
lowest first, and its SHA-256.
"""

import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from edgebert.errors import BundleError

MOST_OF_A_PIECE = 1 << 18  # bytes, which are in memory at once

_ENTRY = struct.Struct("<Q32s")


@dataclass(frozen=True)
class Pieces:
    """Where each piece of a weight file ends, in ascending order, and its SHA-256."""

    ends: Sequence[int]
    digests: Sequence[bytes]

    @classmethod
    def read(cls, content: bytes, size_bytes: int, name: str) -> "Pieces":
        """Return the pieces that a file of pieces tells of the weight file of that size and name.

        Raises:
            BundleError: these are not all of its bytes, each in one piece that is not too long.
        """
        whole = len(content) - len(content) % _ENTRY.size
        entries = list(_ENTRY.iter_unpack(content[:whole]))
        ends = [end for end, _ in entries]
        sizes = [end - start for start, end in itertools.pairwise([0, *ends])]
        if whole != len(content) or sum(sizes) != size_bytes or not all(0 < one <= MOST_OF_A_PIECE for one in sizes):
            raise BundleError(f"the pieces of {name} do not fit it; export the bundle again")
        return cls(ends, [digest for _, digest in entries])

    def content(self) -> bytes:
        """Return what the file of pieces holds."""
        return b"".join(_ENTRY.pack(end, digest) for end, digest in zip(self.ends, self.digests, strict=True))

    def between(self, start: int, stop: int) -> range:
        """Return the numbers of the pieces that hold the bytes from `start` to `stop`."""
        return range(bisect_right(self.ends, start), bisect_left(self.ends, stop) + 1) if start < stop else range(0)

    def start_of(self, piece: int) -> int:
        """Return where the piece of that number begins."""
        return self.ends[piece - 1] if piece else 0
