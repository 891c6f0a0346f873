import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import Example
from edgebert.inputs.tokenization import Tokenizer, Tokens
from edgebert.tasks.task import Outputs
from edgebert.tasks.token_classification import TextTags, TokenClassification, WordTags, first_tokens

LABELS = ("O", "B-PER", "I-PER", "B-LOC")
TASK = TokenClassification(LABELS)
OPTIONS = TASK.options({})


def row(text: str, label: str | tuple[str, ...] | None, words: tuple[tuple[int, int], ...] | None = None) -> Example:
    return Example(text, None, label, "x.tsv:2", words=words)


def logits_for(labels: Sequence[int], size: float = 4.0) -> Outputs:
    """Return outputs that give one text's tokens these labels."""
    return {"logits": size * np.eye(len(LABELS), dtype=np.float32)[None, list(labels)]}


def results(labels: Sequence[int], spans: Sequence[tuple[int, int] | None], size: float = 4.0) -> list[TextTags]:
    tokens = Tokens(list(labels), [0] * len(labels), spans)
    return list(TASK.results(logits_for(labels, size), [tokens], OPTIONS))


def test_a_word_has_the_label_of_its_first_token() -> None:
    spans = [None, (0, 3), (3, 5), (6, 9), None]
    words = [(0, 5), (6, 9), (10, 14)]
    assert first_tokens(spans, words) == [1, 3, None]
    assert first_tokens([], words) == [None, None, None]
    # One token of two words is of the first one, and an empty word has none.
    assert first_tokens([(0, 9)], [(0, 5), (6, 9)]) == [0, None]
    assert first_tokens([(0, 1), (2, 3)], [(0, 1), (2, 2), (2, 3)]) == [0, None, 1]


def test_words_behind_the_cut_count_as_outside() -> None:
    found = results([0, 1, 2, 0], [None, (0, 3), (4, 6), None])
    metrics = TASK.metrics(found, [WordTags([(0, 3), (4, 6), (7, 9)], [1, 2, 3])])
    assert list(metrics) == list(TASK.METRICS)
    assert metrics == {"span_f1": pytest.approx(2 / 3), "accuracy": pytest.approx(2 / 3)}
    low, high = TASK.interval(found * 2, [WordTags([(0, 3), (4, 6), (7, 9)], [1, 2, 3])] * 2)
    assert low <= 2 / 3 <= high


def test_counts_add_up_to_the_metric_text_by_text() -> None:
    found = results([1, 2], [(0, 3), (4, 6)]) + results([1, 1], [(0, 3), (4, 6)])
    targets = [WordTags([(0, 3), (4, 6)], [1, 2])] * 2
    gained, possible = TASK.counts(found, targets)
    assert (gained.tolist(), possible.tolist()) == ([2, 0], [2, 3])
    assert TASK.metrics(found, targets)["span_f1"] == pytest.approx(2 / 5)


def test_an_answer_is_as_sure_as_its_least_certain_token_that_is_not_special() -> None:
    outputs = {"logits": np.array([[[0, 0], [3, 0], [0, 1], [0, 0]]], np.float32)}
    task = TokenClassification(("O", "B-X"))
    found = task.results(outputs, [Tokens([0] * 4, [0] * 4, [None, (0, 1), (2, 3), None])], OPTIONS)
    np.testing.assert_allclose(task.confidences(found), [1 / (1 + np.exp(-1))], rtol=1e-5)
    assert task.has_cascade
    assert not TokenClassification(("X",)).has_cascade


def test_fidelity_is_the_share_of_tokens_with_the_same_label() -> None:
    full = results([0, 1, 2, 3], [(n, n + 1) for n in range(4)])
    other = results([0, 1, 3, 3], [(n, n + 1) for n in range(4)])
    assert TASK.fidelity(full, full) == 1.0
    assert TASK.fidelity(other, full) == 0.75
    nothing = results([0], [None])
    assert TASK.fidelity(nothing, nothing) == 1.0


def test_a_text_is_wrong_only_where_a_right_label_is_clear() -> None:
    right, found = logits_for([0, 1, 2], size=1.0), logits_for([0, 1, 3], size=1.0)
    assert TASK.wrong_answers(found, right, tolerance=0.4) == 1
    assert TASK.wrong_answers(found, right, tolerance=0.5) == 0  # both may be off by half of the lead
    one = TokenClassification(("X",))
    assert one.wrong_answers({"logits": np.ones((1, 2, 1))}, {"logits": np.ones((1, 2, 1))}, 0.1) == 0


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (("O", "B-PER"), ((0, 1), (2, 5))),
        ("O B-PER", None),
        (("0", "1"), ((0, 1), (2, 5))),
        ("0  1", None),
        (("O", "B-PER"), None),
    ],
    ids=str,
)
def test_tags_are_those_of_words(label: str | tuple[str, ...], words: tuple[tuple[int, int], ...] | None) -> None:
    target = TASK.target(row("a bcd", label, words))
    assert (list(target.words), target.labels) == ([(0, 1), (2, 5)], [0, 1])


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (row("a b", "O"), "x.tsv:2: expected a tag for each word, found 1 tags for 2 words; separate words by"),
        (row("a b", ("O",), ((0, 1), (2, 3))), "x.tsv:2: expected a tag for each word, found 1 tags for 2 words"),
        (row("a b", None), "x.tsv:2: expected a tag for each word, found none; give the column 'tags'"),
        (row("a b", "O B-ORG"), "x.tsv:2: expected tags of O, B-PER, I-PER, B-LOC (or their numbers), found 'B-ORG'"),
        (row("a b", ("O", "4"), ((0, 1), (2, 3))), "found '4'; correct it, or leave the row out"),
        (row("a", ("",), ((0, 1),)), "x.tsv:2: expected a tag for each word, found an empty one; write O outside"),
    ],
    ids=str,
)
def test_other_tags_are_refused(one: Example, message: str) -> None:
    with pytest.raises(EdgeBertError, match=re.escape(message)):
        TASK.target(one)


def test_labels_in_data_begin_with_outside_and_go_by_the_alphabet() -> None:
    rows = [row("a b", "I-PER B-PER"), row("a b c", "B-LOC O I-PER")]
    assert TokenClassification.labels_in(rows) == ("O", "B-LOC", "B-PER", "I-PER")
    assert TokenClassification.labels_in([row("a", "NOUN")]) == ("NOUN",)
    with pytest.raises(EdgeBertError, match=r"x.tsv:2: expected names of tags, found '0'; name the tags in the order"):
        TokenClassification.labels_in([row("a b", ("0", "1"), ((0, 1), (2, 3)))])


@pytest.mark.parametrize(
    ("one", "is_meant"),
    [
        (row("a b", ("x", "y"), ((0, 1), (2, 3))), True),
        (row("a b", "O B-PER"), True),
        (row("a b", "O good"), False),
        (row("a b", "O"), False),
        (row("a b", ("O", "O")), False),
        (row("a b", "good", ((0, 1), (2, 3))), False),
        (row("a b", None, ((0, 1), (2, 3))), False),
        (Example("a b", "c", "O O", "x.tsv:2"), False),
    ],
    ids=str,
)
def test_a_row_with_a_tag_for_each_word_is_of_this_task(one: Example, is_meant: bool) -> None:
    assert TokenClassification.is_meant_by(one) == is_meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"aggregation_strategy": "mean"},
            "expected an aggregation_strategy of none, simple, first, average, max, found",
        ),
        ({"ignore_labels": "O"}, "expected a list of labels as ignore_labels, found 'O'; pass a list of names"),
        ({"ignore_labels": [0]}, "expected a list of labels as ignore_labels, found"),
        ({"stride": -1, "aggregation_strategy": "simple"}, "expected a stride of 0 tokens or more, found -1; pass a"),
        ({"stride": True, "aggregation_strategy": "simple"}, "expected a stride of 0 tokens or more, found True"),
        ({"stride": 2}, "expected an aggregation_strategy beside a stride, found 'none'; choose one of simple, first"),
        ({"top_k": 2}, "token-classification has no option top_k; expected one of aggregation_strategy, ignore_labels"),
    ],
    ids=str,
)
def test_options_that_the_pipeline_has_not_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgeBertError, match=re.escape(message)):
        TASK.options(given)


def test_single_texts_alone_are_taken(builtin: Bundle) -> None:
    tokenizer = Tokenizer.of(builtin)
    with pytest.raises(
        EdgeBertError, match="expected a text by itself for token-classification, found two; pass one str"
    ):
        TASK.rows(("a", "b"), tokenizer, OPTIONS)
    options = TASK.options({"aggregation_strategy": "simple", "stride": tokenizer.max_length})
    with pytest.raises(EdgeBertError, match=rf"expected a stride below the {tokenizer.max_length} tokens of a window"):
        TASK.rows("a", tokenizer, options)


@pytest.mark.parametrize("given", [{}, {"stride": 4, "aggregation_strategy": "first"}])
def test_rows_of_many_texts_are_those_of_each(builtin: Bundle, given: dict[str, Any]) -> None:
    tokenizer, options = Tokenizer.of(builtin), TASK.options(given)
    # One is cut, and one has few tokens in what is read of it at first.
    texts = ["Anna lives in Berlin.", "caf\u00e9 \u6771\u4eac", "the plot " * 200, "x" * 3000 + " a"]
    each = [tuple(map(vars, TASK.rows(text, tokenizer, options))) for text in texts]
    assert [tuple(map(vars, rows)) for rows in TASK.rows_of_all(texts, tokenizer, options)] == each
    with pytest.raises(EdgeBertError, match="found an empty one"):
        TASK.rows_of_all(["a", " "], tokenizer, options)
    with pytest.raises(EdgeBertError, match="found two; pass one str"):
        TASK.rows_of_all([("a", "b")], tokenizer, options)


def test_a_line_shows_entities_with_their_words() -> None:
    entities = [
        {"entity_group": "PER", "score": 0.9, "word": "anna smith", "start": 0, "end": 10},
        {"entity_group": "LOC", "score": 0.75, "word": "berlin", "start": 14, "end": 20},
    ]
    assert TASK.cells(entities) == ("PER:anna smith,LOC:berlin", "0.9000,0.7500")
    assert TASK.cells([{"entity": "B-PER", "score": 0.5, "index": 1, "word": "x", "start": 0, "end": 1}]) == (
        "B-PER:x",
        "0.5000",
    )
    assert TASK.cells([]) == ("", "")
    assert TASK.known_cells is None


def test_outputs_have_logits_for_each_token() -> None:
    TASK.check_outputs({"logits": np.zeros((2, 7, 4), np.float32)}, (2, 7))
    with pytest.raises(
        EdgeBertError, match=r"expected logits in float32 \(2 batch, 7 length, 4 labels\), found float32"
    ):
        TASK.check_outputs({"logits": np.zeros((2, 4), np.float32)}, (2, 7))
