import msgspec
import numpy as np
import pytest

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import TASK_NAMES
from edgebert.tasks.task import Task, mean_difference
from edgebert.tasks.tasks import TASKS, kind_of, task_in


def test_a_task_is_found_by_its_name() -> None:
    for kind in TASKS:
        assert kind_of(kind.NAME, EdgeBertError) is kind


def test_names_of_tasks_are_different_and_of_metrics_too() -> None:
    assert len({kind.NAME for kind in TASKS}) == len(TASKS)
    assert tuple(kind.NAME for kind in TASKS) == TASK_NAMES
    assert len({kind.METRICS[0] for kind in TASKS}) == len(TASKS)


def test_an_unknown_task_lists_the_known() -> None:
    known = f"expected a task of {', '.join(TASK_NAMES)}, found 'x'; use a"
    with pytest.raises(BundleError, match=known):
        kind_of("x", BundleError)


def test_a_bundle_says_its_task(builtin: Bundle) -> None:
    task = task_in(builtin.manifest)
    assert (task.NAME, task.labels) == ("text-classification", ("negative", "positive"))


# Those whose networks give one number for each label.
OF_LABELS = [kind for kind in TASKS if kind.OUTPUTS == Task.OUTPUTS]
RIGHT = np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "expected an output logits, found none; export the bundle again"),
        ({"scores\n": RIGHT}, r"expected an output logits, found 'scores\\n'; export"),
        (
            {"logits": RIGHT.astype(np.float64)},
            r"expected logits in float32 \(2 batch, 2 labels\), found float64 of",
        ),
        ({"logits": RIGHT.astype(np.int64)}, r"found int64 of shape \(2, 2\); export the bundle again"),
        ({"logits": np.array([["a", "b"]] * 2, dtype=object)}, "found object of shape"),
        ({"logits": RIGHT[:1]}, r"found float32 of shape \(1, 2\)"),
        ({"logits": RIGHT.reshape(2, 2, 1)}, r"found float32 of shape \(2, 2, 1\)"),
        ({"logits": RIGHT[0]}, r"found float32 of shape \(2,\)"),
        ({"logits": np.float32(0)}, r"found float32 of shape \(\)"),
        ({"logits": RIGHT[:, :1]}, r"\(2 batch, 2 labels\), found float32 of shape \(2, 1\); export the bundle again"),
        (
            {"logits": RIGHT + np.float32(np.nan)},
            "expected finite logits, found infinite ones or some that are no number",
        ),
        ({"logits": RIGHT - np.float32(np.inf)}, "expected finite logits"),
    ],
)
@pytest.mark.parametrize("kind", OF_LABELS)
def test_outputs_that_no_answer_can_be_made_of_are_refused(
    kind: type[Task], outputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        kind(("a", "b")).check_outputs(outputs, (2, 7))


@pytest.mark.parametrize("kind", OF_LABELS)
def test_outputs_of_the_right_form_are_taken(kind: type[Task]) -> None:
    kind(("a", "b")).check_outputs({"logits": RIGHT, "another": RIGHT[0]}, (2, 7))


def test_outputs_of_padding_are_left_out_where_there_are_some_for_each_token() -> None:
    mask, ones = np.array([[1, 1, 0], [1, 1, 1]]), np.ones((2, 3, 4), np.float32)
    kept = kind_of("token-classification", EdgeBertError)(("a",) * 4).without_padding({"logits": ones}, mask)
    assert kept["logits"][..., 0].tolist() == mask.tolist()
    assert kept["logits"].dtype == np.float32
    of_texts = kind_of("text-classification", EdgeBertError)(("a",) * 4)
    assert (of_texts.without_padding({"logits": ones[:, 0]}, mask)["logits"] == 1).all()


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


def test_a_bundle_without_the_labels_that_its_task_needs_is_refused(builtin: Bundle) -> None:
    manifest = msgspec.structs.replace(builtin.manifest, labels=())
    with pytest.raises(BundleError, match=r"expected labels for text-classification, found none at \$.labels"):
        task_in(manifest)
