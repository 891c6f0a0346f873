from hypothesis import given
from hypothesis import strategies as st

from edgebert.inputs.batches import Request, batches_of
from edgebert.inputs.tokenization import Tokens


def of_length(length: int) -> Tokens:
    return Tokens([1] * length, [0] * length)


@given(st.lists(st.integers(1, 128)), st.integers(1, 8))
def test_every_text_is_in_one_batch_and_little_is_padded(lengths: list[int], most: int) -> None:
    batches = batches_of([of_length(length) for length in lengths], most)
    assert sorted(place for batch in batches for place in batch.places) == list(range(len(lengths)))
    for batch in batches:
        size, longest = batch.shape
        assert size == len(batch.places) <= most
        found = [lengths[place] for place in batch.places]
        assert found == [len(tokens.ids) for tokens in batch.tokens] == sorted(found)
        assert longest == found[-1]
        assert found[0] * 8 >= longest * 7
    assert [batch.length for batch in batches] == sorted(batch.length for batch in batches)


def test_rows_of_texts_with_several_are_a_group_of_their_own() -> None:
    """A text's windows are answered together; all others share batches as ever."""
    texts = [[of_length(5)], [of_length(9), of_length(9), of_length(3)], [of_length(5)]]
    request = Request.of(texts)
    assert [list(rows) for rows in request.rows] == [[0], [1, 2, 3], [4]]
    groups = request.groups(2)
    assert [[batch.places for batch in group] for group in groups] == [[(0, 4)], [(3,), (1, 2)]]
    for group in groups:
        for batch in group:
            assert batch.tokens == tuple(request.tokens[place] for place in batch.places)


def test_texts_of_one_row_are_groups_of_one_batch() -> None:
    texts = [[of_length(length)] for length in (8, 3, 8)]
    assert [[batch.places for batch in group] for group in Request.of(texts).groups(4)] == [[(1,)], [(0, 2)]]
