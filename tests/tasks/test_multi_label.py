import re

import numpy as np
import plain_metrics
import pytest
from answering import answers_of
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.tasks.label_task import Scores
from edgebert.tasks.multi_label import MultiLabelTextClassification

LABELS = ("anger", "joy", "surprise")
TASK = MultiLabelTextClassification(LABELS)
LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 1.0, -0.2]], dtype=np.float32)


def row(label: str | tuple[str, ...] | None) -> Example:
    return Example("a", None, label, "x.jsonl:2")


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Scores, list[list[float]]]:
    """Scores of few different values, and what was wanted."""
    samples = draw(st.integers(2, 15))
    cells = st.lists(st.integers(0, 10).map(lambda n: n / 10), min_size=3, max_size=3)
    marks = st.lists(st.integers(0, 1).map(float), min_size=3, max_size=3)
    scores = draw(st.lists(cells, min_size=samples, max_size=samples))
    return np.array(scores, np.float32), draw(st.lists(marks, min_size=samples, max_size=samples))


def test_scores_are_a_sigmoid_each() -> None:
    np.testing.assert_allclose(TASK.scores({"logits": LOGITS})[0], 1 / (1 + np.exp([-2.0, 1.0, -0.5])), rtol=1e-5)


def test_all_labels_have_their_scores_the_highest_first() -> None:
    (first, _) = answers_of(TASK, {"logits": LOGITS}, top_k=None)
    assert [answer["label"] for answer in first] == ["anger", "surprise", "joy"]
    assert [len(answers) for answers in answers_of(TASK, {"logits": LOGITS}, top_k=2)] == [2, 2]
    assert [answer["label"] for answer in answers_of(TASK, {"logits": LOGITS})] == ["anger", "joy"]


@pytest.mark.parametrize("label", ["joy,anger", " joy , anger ", ("joy", "anger")])
def test_labels_are_joined_by_commas_or_a_list(label: str | tuple[str, ...]) -> None:
    assert TASK.target(row(label)) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("label", ["", (), ("",)])
def test_a_row_may_have_no_label_at_all(label: str | tuple[str, ...]) -> None:
    assert TASK.target(row(label)) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "label", [("0", "2"), "2,0", ("1", "0", "1"), ("1.0", "0.0", "1.0"), "1,0,1", ("anger", "2")], ids=str
)
def test_labels_may_be_given_by_their_numbers_or_by_a_mark_for_each(label: str | tuple[str, ...]) -> None:
    """As Hugging Face's data sets have them, and as transformers trains on them."""
    assert TASK.target(row(label)) == [1.0, 0.0, 1.0]


def test_what_may_be_numbers_or_marks_is_refused() -> None:
    two, one = MultiLabelTextClassification(("a", "b")), MultiLabelTextClassification(("a",))
    assert two.target(row(("0.0", "1.0"))) == [0.0, 1.0]
    assert two.target(row(("1",))) == [0.0, 1.0]
    assert MultiLabelTextClassification(("0", "1")).target(row(("1", "0"))) == [1.0, 1.0]
    for task, label in ((two, ("1", "0")), (one, ("0",))):
        with pytest.raises(EdgeBertError, match=r"x.jsonl:2: expected names of labels, found .*, which may be their"):
            task.target(row(label))
    with pytest.raises(EdgeBertError, match=r"found '1.0'; separate"):
        TASK.target(row(("1.0",)))
    for label in (("0", "1", "0"), ("0.0", "1.0")):
        with pytest.raises(EdgeBertError, match=r"x.jsonl:2: expected names of labels, found a 0 or a 1 for each \(0"):
            MultiLabelTextClassification.labels_in([row(label)])
    assert MultiLabelTextClassification.labels_in([row(("0", "1")), row("2")]) == ("0", "1", "2")


def test_labels_that_are_none_of_these_are_named() -> None:
    message = (
        "x.jsonl:2: expected labels of anger, joy, surprise (or their numbers), found 'fear'; separate with commas"
    )
    with pytest.raises(EdgeBertError, match=re.escape(message)):
        TASK.target(row("joy,fear"))
    with pytest.raises(EdgeBertError, match=r"x.jsonl:2: expected labels, found none; give the column 'label'"):
        TASK.target(row(None))


def test_a_list_that_was_written_as_text_is_refused() -> None:
    message = r"x.jsonl:2: expected labels joined by commas, found '\['joy', 'fear'\]'; write A,B, or a list in"
    for read in (TASK.target, lambda one: MultiLabelTextClassification.labels_in([one])):
        with pytest.raises(EdgeBertError, match=message):
            read(row("['joy', 'fear']"))


def test_labels_in_data_are_by_the_alphabet() -> None:
    assert MultiLabelTextClassification.labels_in([row("joy,anger"), row(""), row(("fear",))]) == (
        "anger",
        "fear",
        "joy",
    )
    with pytest.raises(EdgeBertError, match="expected rows with labels, found none in all of them"):
        MultiLabelTextClassification.labels_in([row("")])


@given(labelled())
def test_metrics_are_those_of_their_definitions(case: tuple[Scores, list[list[float]]]) -> None:
    scores, targets = case
    found = [{label for label, score in zip(LABELS, line, strict=True) if score >= 0.5} for line in scores.tolist()]
    wanted = [{label for label, mark in zip(LABELS, line, strict=True) if mark} for line in targets]
    precisions = [
        plain_metrics.average_precision(scores[:, n].tolist(), [bool(line[n]) for line in targets]) for n in range(3)
    ]
    known = [value for value in precisions if value is not None]
    metrics = TASK.metrics(scores, targets)
    assert list(metrics) == list(TASK.METRICS)
    assert metrics["micro_f1"] == pytest.approx(plain_metrics.micro_f1(found, wanted))
    assert metrics["mean_average_precision"] == pytest.approx(sum(known) / len(known) if known else 0.0)

    low, high = TASK.interval(scores, targets)
    assert 0 <= low <= metrics["micro_f1"] <= high <= 1


@given(labelled())
def test_counts_add_up_to_the_metric(case: tuple[Scores, list[list[float]]]) -> None:
    gained, possible = TASK.counts(*case)
    assert gained.sum() / max(possible.sum(), 1) == pytest.approx(TASK.metrics(*case)["micro_f1"])
    assert (gained <= possible).all()
    assert gained.dtype == possible.dtype == np.int64
    confidences = TASK.confidences(case[0])
    assert ((confidences >= 0.5) & (confidences <= 1)).all()


def test_an_answer_is_as_sure_as_its_least_clear_label() -> None:
    confidences = TASK.confidences(TASK.scores({"logits": LOGITS}))
    np.testing.assert_allclose(confidences, [1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-0.2))], rtol=1e-5)


def test_fidelity_is_how_often_all_labels_are_the_same() -> None:
    scores = TASK.scores({"logits": LOGITS})
    other = TASK.scores({"logits": LOGITS + np.array([[0, 0, -1], [0, 0, 0]], np.float32)})
    assert (TASK.fidelity(scores, scores), TASK.fidelity(other, scores)) == (1.0, 0.5)


def test_an_answer_is_wrong_only_where_the_right_one_is_clear() -> None:
    found = {"logits": LOGITS + np.array([[0, 0, -1], [0, 0, 0]], np.float32)}
    assert TASK.wrong_answers(found, {"logits": LOGITS}, tolerance=0.2) == 1
    assert (
        TASK.wrong_answers(found, {"logits": LOGITS}, tolerance=0.3) == 0
    )  # that logit is 0.5, of two that may be off
