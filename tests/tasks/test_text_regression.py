import numpy as np
import plain_metrics
import pytest
from answering import answers_of

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.tasks.text_regression import TextRegression

TASK = TextRegression(("score",))
LOGITS = np.array([[4.5], [-0.5], [2.0], [2.0]], dtype=np.float32)
TARGETS = [5.0, 1.0, 1.5, 3.0]


def row(label: str | tuple[str, ...] | None) -> Example:
    return Example("a", "b", label, "x.tsv:2")


def test_an_answer_is_the_number_itself() -> None:
    assert answers_of(TASK, {"logits": LOGITS})[0] == {"label": "score", "score": 4.5}
    assert answers_of(TASK, {"logits": LOGITS[:1]}, top_k=None) == [[{"label": "score", "score": 4.5}]]


@pytest.mark.parametrize(("label", "number"), [("4.75", 4.75), ("3", 3.0), ("-1e-1", -0.1)])
def test_a_label_is_a_number(label: str, number: float) -> None:
    assert TASK.target(row(label)) == number


@pytest.mark.parametrize("label", ["good", "", "nan", "inf", "1,5", "1_5", None, ("1", "2")])
def test_any_other_label_is_refused(label: str | None) -> None:
    with pytest.raises(EdgeBertError, match=r"x.tsv:2: expected a number as the label, found"):
        TASK.target(row(label))


def test_several_numbers_a_text_have_no_metric() -> None:
    with pytest.raises(EdgeBertError, match="expected one number a text, found a network of 2; export it with --texts"):
        TextRegression(("a", "b")).target(row("1"))


def test_metrics_are_the_correlations_with_what_was_wanted() -> None:
    found = LOGITS[:, 0].tolist()
    metrics = TASK.metrics(LOGITS, TARGETS)
    assert list(metrics) == list(TASK.METRICS)
    assert metrics["spearman"] == pytest.approx(plain_metrics.spearman(found, TARGETS))
    assert metrics["pearson"] == pytest.approx(plain_metrics.pearson(found, TARGETS))
    low, high = TASK.interval(LOGITS, TARGETS)
    assert low < metrics["spearman"] < high


def test_fidelity_is_the_rank_correlation_of_the_worst_number() -> None:
    both = np.hstack([LOGITS, -LOGITS])
    assert TASK.fidelity(LOGITS, 2 * LOGITS + 1) == pytest.approx(1.0)
    assert TASK.fidelity(both, np.hstack([LOGITS, LOGITS])) == pytest.approx(-1.0)


def test_there_is_no_cascade_and_no_wrong_answer() -> None:
    assert TASK.confidences(LOGITS) is None
    assert TASK.counts(LOGITS, TARGETS) is None
    assert TASK.wrong_answers({"logits": -LOGITS}, {"logits": LOGITS}, tolerance=0.0) == 0


def test_the_label_of_a_network_to_train_is_its_number() -> None:
    assert TextRegression.labels_in([row("1.5")]) == ("score",)
