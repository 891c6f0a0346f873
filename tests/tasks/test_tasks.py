import numpy as np
import pytest

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import TASK_NAMES, Bundle
from edgebert.tasks.task import mean_difference
from edgebert.tasks.tasks import TASKS, task_in, task_of


def test_a_task_is_found_by_its_name_and_has_the_labels_given() -> None:
    for kind in TASKS:
        task = task_of(kind.NAME, ("a", "b"), EdgeBertError)
        assert isinstance(task, kind)
        assert task.labels == ("a", "b")


def test_names_of_tasks_are_different_and_of_metrics_too() -> None:
    assert len({kind.NAME for kind in TASKS}) == len(TASKS)
    assert tuple(kind.NAME for kind in TASKS) == TASK_NAMES
    assert len({kind.METRICS[0] for kind in TASKS}) == len(TASKS)


def test_an_unknown_task_lists_the_known() -> None:
    known = "expected a task of text-classification, multi-label-text-classification, text-regression, found 'x'; use a"
    with pytest.raises(BundleError, match=known):
        task_of("x", ("a",), BundleError)


def test_a_bundle_says_its_task(builtin: Bundle) -> None:
    task = task_in(builtin.manifest)
    assert (task.NAME, task.labels) == ("text-classification", ("negative", "positive"))


def test_outputs_differ_by_each_texts_largest_difference_on_average() -> None:
    right = np.zeros((2, 3, 4), np.float32)
    found = right.copy()
    found[0, 1, 2], found[0, 0, 0], found[1, 2, 3] = 3.0, -1.0, 1.0
    assert mean_difference({"logits": found}, {"logits": right}) == 2.0


def test_the_worst_of_several_outputs_counts_for_each_text() -> None:
    right = {"start_logits": np.zeros((2, 4), np.float32), "end_logits": np.zeros((2, 4), np.float32)}
    found = {"start_logits": right["start_logits"] + 1, "end_logits": right["end_logits"] - 3}
    assert mean_difference(found, right) == 3.0


@pytest.mark.parametrize(
    "found",
    [{}, {"logits": np.zeros((2, 4), np.float32)}, {"logits": np.full((2, 3), np.nan, np.float32)}],
    ids=["missing", "another shape", "not finite"],
)
def test_outputs_that_cannot_be_compared_are_infinitely_far(found: dict[str, np.ndarray]) -> None:
    assert mean_difference(found, {"logits": np.zeros((2, 3), np.float32)}) == float("inf")
