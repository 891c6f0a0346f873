from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.evaluation import evaluate

Alter = Callable[..., Path]

FULL = "w1.00-d1.00-int8-static"
DATA = (
    "text\tlabel\na great, moving film\tpositive\nwonderful\t1\ndull and awful\tnegative\na terrible mess\tpositive\n"
)


def test_accuracy_is_the_share_of_right_answers(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    result = evaluate(tmp_path / "d.tsv", builtin, subnets=[FULL])
    (one,) = result.subnetworks
    assert (one.id, one.samples, one.metrics, result.samples) == (FULL, 4, {"accuracy": 0.75}, 4)
    assert one.ci95[0] < 0.75 < one.ci95[1]


def test_a_bundle_is_a_path_the_value_itself_or_the_builtin_one(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    found = [evaluate(tmp_path / "d.tsv", one, subnets=[FULL]) for one in (builtin, builtin.path, None)]
    assert [one.subnetworks[0].metrics for one in found] == [{"accuracy": 0.75}] * 3


def test_all_sub_networks_are_evaluated_unless_named(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    result = evaluate(tmp_path / "d.tsv", builtin)
    assert [one.id for one in result.subnetworks] == [subnet.id for subnet in builtin.manifest.subnetworks]


def test_labels_of_another_task_are_refused(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("text\tlabel\ngood\tpositive\nwhat\tentailment\n")
    with pytest.raises(EdgeBertError, match=r"d.tsv:3: expected a label of negative, positive .* found label 'entail"):
        evaluate(tmp_path / "d.tsv", builtin)


def test_data_without_labels_is_refused(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("text\ngood\n")
    with pytest.raises(EdgeBertError, match=r"d.tsv:2: expected one label, found none; give the column 'label'"):
        evaluate(tmp_path / "d.tsv", builtin)


def test_a_bundle_of_an_unknown_task_is_refused(alter_manifest: Alter, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    message = "task 'translation' is not supported by this version, expected one of text-classification, .* at \\$.task"
    with pytest.raises(BundleError, match=message):
        evaluate(tmp_path / "d.tsv", alter_manifest(task="translation"))


@pytest.mark.parametrize("task", ["multi-label-text-classification", "text-regression"])
def test_labels_that_are_not_of_the_task_are_refused(alter_manifest: Alter, tmp_path: Path, task: str) -> None:
    (tmp_path / "d.tsv").write_text("text\tlabel\ngood\tentailment\n")
    with pytest.raises(EdgeBertError, match=r"d.tsv:2: expected"):
        evaluate(tmp_path / "d.tsv", alter_manifest(task=task))
