import numpy as np
import plain_metrics
import pytest
from answering import answers_of

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.tasks.metrics import wilson_interval
from edgebert.tasks.text_classification import TextClassification

TASK = TextClassification(("negative", "positive"))
LOGITS = np.array([[1.0, 3.0], [2.0, -1.0], [0.0, 0.5], [4.0, 4.5]], dtype=np.float32)
SCORES = TASK.scores({"logits": LOGITS})


def row(label: str | tuple[str, ...] | None) -> Example:
    return Example("a", None, label, "x.tsv:2")


def test_scores_are_the_softmax() -> None:
    np.testing.assert_allclose(SCORES[0], [0.1192029, 0.8807971], rtol=1e-5)
    large = TASK.scores({"logits": np.array([[1000.0, -1000.0]], dtype=np.float32)})
    np.testing.assert_allclose(large, [[1.0, 0.0]])


def test_a_label_alone_has_the_sigmoid() -> None:
    scores = TextClassification(("relevant",)).scores({"logits": LOGITS[:, :1]})
    np.testing.assert_allclose(scores[0], [0.7310586], rtol=1e-5)


def test_an_answer_is_the_best_label_or_as_many_as_asked_for() -> None:
    best = answers_of(TASK, {"logits": LOGITS[:1]})
    assert best == [{"label": "positive", "score": pytest.approx(0.8807971)}]
    (one,) = answers_of(TASK, {"logits": LOGITS[:1]}, top_k=1)
    assert one == best
    (both,) = answers_of(TASK, {"logits": LOGITS[:1]}, top_k=None)
    assert [answer["label"] for answer in both] == ["positive", "negative"]


@pytest.mark.parametrize(("label", "number"), [("positive", 1), ("negative", 0), ("1", 1), ("0", 0), ("1.0", 1)])
def test_a_label_is_a_name_or_a_number(label: str, number: int) -> None:
    assert TASK.target(row(label)) == number


@pytest.mark.parametrize("label", ["Positive", "2", "-1", "1.5", "nan"])
def test_any_other_label_is_refused(label: str) -> None:
    with pytest.raises(
        EdgeBertError, match=r"x.tsv:2: expected a label of negative, positive \(or its number\), found"
    ):
        TASK.target(row(label))


@pytest.mark.parametrize(
    ("label", "found"),
    [(None, "none; give the column"), ("", "none; give"), (("positive", "negative"), "a list of 2;")],
)
def test_a_row_has_one_label(label: str | tuple[str, ...] | None, found: str) -> None:
    with pytest.raises(EdgeBertError, match=f"x.tsv:2: expected one label, found {found}"):
        TASK.target(row(label))


@pytest.mark.parametrize("labels", [("1", "2", "3"), ("1.0", "2.0", "3.0")])
def test_a_number_is_no_place_where_labels_are_numbers(labels: tuple[str, ...]) -> None:
    """Stars from 1 to 3: a 2 is the second, and not the third; a 0 is none, and not the first."""
    task = TextClassification(labels)
    assert [task.target(row(label)) for label in ("1", "2", "2.0", "3.00")] == [0, 1, 1, 2]
    with pytest.raises(EdgeBertError, match=r"expected a label of .*, found label '0'"):
        task.target(row("0"))


def test_a_number_is_no_place_where_names_begin_with_others() -> None:
    stars = TextClassification(("1 star", "2 stars", "3 stars"))
    assert stars.target(row("2 stars")) == 1
    with pytest.raises(EdgeBertError, match=r"expected a label of 1 star, 2 stars, 3 stars, found label '2'; correct"):
        stars.target(row("2"))
    assert TextClassification(("0 bad", "1 good")).target(row("1")) == 1


@pytest.mark.parametrize("label", ["nan", "NaN", "N/A", "<NA>", "null", "None", "-"])
def test_what_stands_for_no_label_is_none_to_be_trained_on(label: str) -> None:
    with pytest.raises(EdgeBertError, match=f"x.tsv:2: expected a label, found '{label}', which stands for none"):
        TextClassification.labels_in([row("a"), row(label)])
    with pytest.raises(EdgeBertError, match=r"x.tsv:2: expected one label, found none"):
        TextClassification.labels_in([row("a"), row("")])
    assert TextClassification(("a", label)).target(row(label)) == 1  # somebody named it
    assert TextClassification.labels_in([row("none"), row("1.0"), row("1")]) == ("1", "none")


def test_where_labels_are_counted_from_0_one_of_minus_1_is_none() -> None:
    with pytest.raises(
        EdgeBertError, match=r"x.tsv:2: expected a label, found '-1', which stands for none; leave such"
    ):
        TextClassification.labels_in([row(label) for label in ("0", "1", "-1")])
    assert TextClassification.labels_in([row("1"), row("-1")]) == ("1", "-1")
    assert TextClassification(("-1", "0", "1")).target(row("-1")) == 0


def test_numbers_with_a_fraction_are_no_labels_unless_they_are_named() -> None:
    with pytest.raises(EdgeBertError, match=r"x.tsv:2: expected names of labels, found 2.5; use --regression"):
        TextClassification.labels_in([row("1"), row("2.5")])
    assert TextClassification(("1", "2.5")).target(row("2.5")) == 1


def test_a_label_alone_is_measured_by_the_order_of_its_scores() -> None:
    task = TextClassification(("relevant",))
    assert (task.METRICS, task.LOSS) == (("spearman", "average_precision"), "binary-cross-entropy")
    assert task.target(row("1")) == 1.0
    assert task.target(row("0.25")) == 0.25
    with pytest.raises(EdgeBertError, match=r"x.tsv:2: expected a number as the label, found 'relevant'; write it as"):
        task.target(row("relevant"))

    found = task.scores({"logits": np.array([[2.0], [-1.0], [0.5]], np.float32)})
    assert task.metrics(list(found), [1.0, 0.0, 0.5]) == {"spearman": pytest.approx(1.0), "average_precision": 1.0}
    assert task.metrics(list(found), [0.0, 1.0, 0.0])["average_precision"] == pytest.approx(1 / 3)
    low, high = task.interval(list(found), [1.0, 0.0, 0.5])
    assert low < high
    assert not task.has_cascade
    assert task.counts(list(found), [1.0, 0.0, 0.5]) is None


def test_labels_in_data_are_in_the_order_of_numbers_then_of_the_alphabet() -> None:
    assert TextClassification.labels_in([row(label) for label in ("10", "b", "2", "a")]) == ("2", "10", "a", "b")
    assert TextClassification.labels_in([row(label) for label in ("9" * 5000, "2")]) == ("2", "9" * 5000)
    with pytest.raises(EdgeBertError, match="expected at least two labels to tell apart, found a in every row; add"):
        TextClassification.labels_in([row("a"), row("a")])


def test_the_metric_is_the_share_of_right_answers() -> None:
    targets = [1, 0, 0, 1]
    found = [answer["label"] for answer in answers_of(TASK, {"logits": LOGITS})]
    expected = plain_metrics.accuracy(found, [TASK.labels[target] for target in targets])
    assert TASK.metrics(SCORES, targets) == {"accuracy": expected} == {"accuracy": 0.75}
    assert TASK.interval(SCORES, targets) == wilson_interval(3, 4)


def test_counts_add_up_to_the_metric() -> None:
    gained, possible = TASK.counts(SCORES, [1, 0, 0, 1])
    assert gained.sum() / possible.sum() == 0.75
    assert gained.dtype == possible.dtype == np.int64
    np.testing.assert_allclose(TASK.confidences(TASK.scores({"logits": LOGITS})), SCORES.max(axis=1))


def test_fidelity_is_how_often_the_label_is_the_same() -> None:
    assert TASK.fidelity(SCORES, SCORES) == 1.0
    assert TASK.fidelity(SCORES, SCORES[:, ::-1]) == 0.0
    assert TASK.fidelity(SCORES, TASK.scores({"logits": LOGITS * [[1], [1], [1], [-1]]})) == 0.75


def test_of_a_label_alone_the_order_of_texts_is_compared() -> None:
    """Its label is always the same: only its scores tell two networks apart."""
    task, scores = TextClassification(("relevant",)), np.array([[0.1], [0.4], [0.2]], np.float32)
    assert task.fidelity(scores, scores**2) == pytest.approx(1.0)
    assert task.fidelity(scores, 1 - scores) == pytest.approx(-1.0)


def test_an_answer_is_wrong_only_where_the_right_one_is_clear() -> None:
    flipped = {"logits": LOGITS[:, ::-1].copy()}
    assert TASK.wrong_answers(flipped, {"logits": LOGITS}, tolerance=0.1) == 4
    assert TASK.wrong_answers(flipped, {"logits": LOGITS}, tolerance=0.3) == 2  # the others lead by 0.5
    assert TASK.wrong_answers({"logits": LOGITS}, {"logits": LOGITS}, tolerance=0.0) == 0
    alone = TextClassification(("relevant",))
    assert alone.wrong_answers({"logits": -LOGITS[:, :1]}, {"logits": LOGITS[:, :1]}, tolerance=0.0) == 0


def test_answers_have_the_pipelines_form() -> None:
    good, bad = {"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}
    best, ranked = TASK.options({}), TASK.options({"top_k": None})
    assert TASK.shaped([good], "text", best, ()) == TASK.shaped([good], "several", best, ()) == [good]
    assert TASK.shaped([good], "dict", best, ()) == good
    assert (
        TASK.shaped([[good, bad]], "text", ranked, ()) == TASK.shaped([[good, bad]], "dict", ranked, ()) == [good, bad]
    )
    assert TASK.shaped([[good, bad]], "several", ranked, ()) == [[good, bad]]


@pytest.mark.parametrize("given", [{"top_k": 0}, {"top_k": -1}, {"top_k": True}, {"top_k": "all"}, {"top_k": 1.0}])
def test_a_number_of_answers_is_a_whole_number(given: dict[str, object]) -> None:
    with pytest.raises(EdgeBertError, match="expected a top_k of 1 or more, or None for all, found"):
        TASK.options(given)


def test_an_option_of_another_task_is_refused() -> None:
    with pytest.raises(EdgeBertError, match="text-classification has no option dims; expected one of top_k"):
        TASK.options({"dims": 128})
