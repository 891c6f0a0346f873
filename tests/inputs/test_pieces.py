import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import BundleError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.graph_file import references
from edgebert.inputs.pieces import MOST_OF_A_PIECE, Pieces

SIZES = st.lists(st.integers(1, MOST_OF_A_PIECE), max_size=20)


def pieces_of(sizes: list[int]) -> Pieces:
    return Pieces(list(itertools.accumulate(sizes)), [bytes([number]) * 32 for number in range(len(sizes))])


@given(SIZES)
def test_what_is_written_is_read(sizes: list[int]) -> None:
    pieces = pieces_of(sizes)
    assert Pieces.read(pieces.content(), sum(sizes), "w.bin") == pieces


@given(SIZES, st.data())
def test_the_pieces_of_a_part_are_those_that_hold_a_byte_of_it(sizes: list[int], data: st.DataObject) -> None:
    pieces, whole = pieces_of(sizes), sum(sizes)
    places = st.sampled_from([place for end in [0, *pieces.ends] for place in (end - 1, end, end + 1)])
    start, stop = sorted(min(max(data.draw(places), 0), whole) for _ in range(2))
    expected = [n for n, end in enumerate(pieces.ends) if max(pieces.start_of(n), start) < min(end, stop)]
    assert list(pieces.between(start, stop)) == expected


@pytest.mark.parametrize(
    ("sizes", "size_bytes", "cut"),
    [
        ([10, 10], 21, 0),
        ([10, 10], 19, 0),
        ([], 1, 0),
        ([10], 0, 0),
        ([10, 0, 10], 20, 0),
        ([10, -5, 10], 15, 0),
        ([MOST_OF_A_PIECE + 1], MOST_OF_A_PIECE + 1, 0),
        ([10, 10], 20, 1),
        ([10, 10], 20, 39),
        ([10, 10], 20, 40),
    ],
)
def test_pieces_that_are_not_the_whole_file_once_are_refused(sizes: list[int], size_bytes: int, cut: int) -> None:
    content = pieces_of(sizes).content()
    message = re.escape("the pieces of w.bin do not fit it; export the bundle again")
    with pytest.raises(BundleError, match=message):
        Pieces.read(content[: len(content) - cut], size_bytes, "w.bin")


def test_ends_beyond_every_number_are_refused() -> None:
    with pytest.raises(BundleError, match="do not fit"):
        Pieces.read(b"\xff" * 40, 10, "w.bin")


def test_a_sub_network_is_checked_with_little_that_it_does_not_read(builtin: Bundle) -> None:
    """One in a hundred bytes at most, the file of pieces included."""
    (weights,) = builtin.manifest.weight_files
    pieces = Pieces.read(builtin.verified(weights.pieces), weights.size_bytes, weights.file)
    for subnet in builtin.manifest.subnetworks:
        for flavor in subnet.graphs:
            used = references(builtin.graph(subnet, flavor), subnet.id)
            read = {piece for part in used for piece in pieces.between(part.start, part.start + part.size)}
            checked = sum(pieces.ends[piece] - pieces.start_of(piece) for piece in read)
            assert checked + weights.pieces.size_bytes <= 1.01 * sum(part.size for part in used), subnet.id
