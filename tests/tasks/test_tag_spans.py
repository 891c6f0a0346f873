import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.tasks.tag_spans import span_counts, spans_of

# Those of all schemes that seqeval reads by default, and what is in no scheme: it has a way with these too.
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-PER", "E-LOC", "S-LOC", "I-A-B", "B-", "X", "NOUN", "."]


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]]]:
    """Tags of the words of texts, found and wanted."""
    pairs = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=0, max_size=8)
    texts = draw(st.lists(pairs, min_size=1, max_size=5))
    return [[found for found, _ in text] for text in texts], [[wanted for _, wanted in text] for text in texts]


@pytest.mark.full
@given(tagged())
def test_spans_are_counted_as_seqeval_does(case: tuple[list[list[str]], list[list[str]]]) -> None:
    from seqeval import metrics

    found, wanted = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that it does not know, and of texts without spans
        expected = metrics.f1_score(wanted, found)
        spans = metrics.sequence_labeling.get_entities(wanted)
    gained, possible = span_counts(found, wanted)
    assert gained.sum() / max(possible.sum(), 1) == pytest.approx(expected)
    assert (gained <= possible).all()
    assert gained.dtype == possible.dtype == np.int64
    assert set.union(*spans_of(wanted)) == set(spans)


def test_spans_by_hand() -> None:
    assert spans_of([["B-PER", "I-PER", "O", "I-LOC"], ["B-PER", "B-PER", "I-LOC"]]) == [
        {("PER", 0, 1), ("LOC", 3, 3)},
        {("PER", 5, 5), ("PER", 6, 6), ("LOC", 7, 7)},
    ]
    gained, possible = span_counts([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]])
    assert (gained.tolist(), possible.tolist()) == ([0], [3])
    assert [one.tolist() for one in span_counts([["O", "B-X"]], [["O", "I-X"]])] == [[2], [2]]
