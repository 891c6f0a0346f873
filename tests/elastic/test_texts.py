import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import byte_pairs

from edgebert.elastic.texts import Texts, tokenise

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=300)
CPU = torch.device("cpu")


def texts(lengths: list[int]) -> Texts:
    return Texts(ids=[[7] * length for length in lengths], types=None, targets=list(range(len(lengths))), pad_id=1)


@given(LENGTHS, st.integers(1, 40), st.one_of(st.none(), st.text()))
def test_batches_hold_every_text_once(lengths: list[int], batch_size: int, shuffle: str | None) -> None:
    batches = texts(lengths).batches(batch_size, shuffle)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)


def test_the_order_depends_on_the_seed_alone() -> None:
    data = texts([number % 9 + 1 for number in range(200)])
    assert data.batches(8, "a") == data.batches(8, "a") != data.batches(8, "b")


def test_texts_of_a_batch_are_of_similar_length() -> None:
    data = texts([number % 32 + 1 for number in range(32 * 50)])
    for batch in data.batches(8, "a"):
        lengths = [len(data.ids[number]) for number in batch]
        assert max(lengths) - min(lengths) <= 1


def test_a_batch_is_padded_to_its_longest_text() -> None:
    batch = texts([2, 4, 9]).batch([0, 1], CPU)
    assert batch.ids.tolist() == [[7, 7, 1, 1], [7, 7, 7, 7]]
    assert batch.mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [0, 1]


def test_texts_added_to_others_have_no_targets() -> None:
    both = texts([2, 3]).and_also(texts([4]))
    assert ([len(ids) for ids in both.ids], both.targets) == ([2, 3, 4], None)


def test_pairs_are_encoded_together_and_cut() -> None:
    encoded = tokenise(byte_pairs(), [("good film", "bad"), ("the " * 9, "plot")], max_length=8)
    assert [len(ids) for ids in encoded.ids] == [7, 8]
    assert encoded.types is None
