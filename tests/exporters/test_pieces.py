import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgebert.exporters.pieces import ends_of_pieces
from edgebert.inputs.graph_file import Reference
from edgebert.inputs.pieces import MOST_OF_A_PIECE, Pieces

_SIZE = 1_000_000
_PLACES = st.integers(0, _SIZE - 1)


@st.composite
def parts(draw: st.DrawFn) -> Reference:
    start = draw(_PLACES)
    return Reference("w.bin", start, min(draw(st.integers(1, 400_000)), _SIZE - start))


@given(st.lists(st.lists(parts(), max_size=4), max_size=5), st.integers(0, 3))
def test_pieces_are_the_whole_file_and_none_is_too_long(used: list[list[Reference]], extra: int) -> None:
    ends = ends_of_pieces(used, _SIZE + extra)
    sizes = [end - start for start, end in itertools.pairwise([0, *ends])]
    assert sum(sizes) == _SIZE + extra
    assert all(0 < size <= MOST_OF_A_PIECE for size in sizes)


@given(st.lists(st.lists(parts(), max_size=4), min_size=1, max_size=5))
def test_a_graph_reads_little_beyond_what_it_uses(used: list[list[Reference]]) -> None:
    """At each end of what it uses, less than a page: so much may be left of a piece that others use too."""
    ends = ends_of_pieces(used, _SIZE)
    pieces = Pieces(ends, [b""] * len(ends))
    for graph in used:
        read = {piece for part in graph for piece in pieces.between(part.start, part.start + part.size)}
        read_bytes = sum(ends[piece] - pieces.start_of(piece) for piece in read)
        own = {place for part in graph for place in (part.start, part.start + part.size)}
        unused = _unused_by_all(used)
        assert read_bytes <= _length(graph) + 4096 * len(own) + unused


def _length(graph: list[Reference]) -> int:
    """Return how many bytes a graph uses, each counted once."""
    length, behind = 0, 0
    for part in sorted(graph, key=lambda one: one.start):
        end = part.start + part.size
        length += max(0, end - max(behind, part.start))
        behind = max(behind, end)
    return length


def _unused_by_all(used: list[list[Reference]]) -> int:
    return _SIZE - _length([part for graph in used for part in graph])


def test_tensors_that_the_same_graphs_use_are_one_piece() -> None:
    whole = [Reference("w.bin", 0, 5000), Reference("w.bin", 8192, 8192), Reference("w.bin", 16384, 4096)]
    narrow = [Reference("w.bin", 0, 5000), Reference("w.bin", 8192, 6000)]
    assert ends_of_pieces([whole, narrow, narrow], 20480) == [14192, 20480]


def test_a_part_that_a_graph_uses_twice_counts_once() -> None:
    """Layers that share weights."""
    twice = [Reference("w.bin", 0, 10_000), Reference("w.bin", 0, 10_000)]
    assert ends_of_pieces([twice, [Reference("w.bin", 0, 20_000)]], 20_000) == [10_000, 20_000]


def test_an_empty_file_has_no_pieces() -> None:
    assert ends_of_pieces([], 0) == []
