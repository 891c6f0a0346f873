from hypothesis import given
from hypothesis import strategies as st

from edgebert.inputs.batches import batches_of
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
