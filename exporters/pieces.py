"""Cuts a weight file into pieces such that each sub-network reads whole ones and little else."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from edgebert.inputs.graph_file import Reference
from edgebert.inputs.pieces import MOST_OF_A_PIECE

# Of bytes, but for what is left at the end of a longer part: pieces for every bias would make thousands of downloads.
_LEAST_OF_A_PIECE = 1 << 12


def ends_of_pieces(used: Sequence[Sequence[Reference]], size_bytes: int) -> list[int]:
    """Return where the pieces of a weight file end, of which each graph uses those parts.

    They end where the graphs that use the bytes before are not those that use the bytes behind, unless the piece were
    too small, and where it would be too long.
    """
    # How many parts of each graph begin at a place, less those that end there.
    changes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for graph, parts in enumerate(used):
        for part in parts:
            changes[part.start][graph] += 1
            changes[part.start + part.size][graph] -= 1

    ends, users, users_before = [0], Counter[int](), frozenset[int]()
    for place in sorted(changes):
        users.update(changes[place])
        users_here = frozenset(graph for graph, parts in users.items() if parts)
        # What nobody uses, such as what fills up a page, goes with what is before it.
        if users_here and users_here != users_before:
            if place - ends[-1] >= _LEAST_OF_A_PIECE:
                ends += _cut(ends[-1], place)
            users_before = users_here
    return [*ends[1:], *_cut(ends[-1], size_bytes)]


def _cut(start: int, end: int) -> list[int]:
    """Return where the pieces of a part end."""
    return [*range(start + MOST_OF_A_PIECE, end, MOST_OF_A_PIECE), *([end] if start < end else [])]
