from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.evaluation import evaluate, wilson_interval

Alter = Callable[..., Path]

FULL = "w1.00-d1.00-int8"
DATA = (
    "text\tlabel\na great, moving film\tpositive\nwonderful\t1\ndull and awful\tnegative\na terrible mess\tpositive\n"
)


def test_accuracy_is_the_share_of_right_answers(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    result = evaluate(builtin, tmp_path / "d.tsv", subnets=[FULL])
    (one,) = result.subnetworks
    assert (one.id, one.correct, one.samples, one.accuracy, result.samples) == (FULL, 3, 4, 0.75, 4)
    assert one.ci95[0] < one.accuracy < one.ci95[1]


def test_all_sub_networks_are_evaluated_unless_named(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    result = evaluate(builtin, tmp_path / "d.tsv")
    assert [one.id for one in result.subnetworks] == [subnet.id for subnet in builtin.manifest.subnetworks]


def test_labels_of_another_task_are_refused(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("text\tlabel\ngood\tpositive\nwhat\tentailment\n")
    with pytest.raises(EdgeBertError, match=r"d.tsv:3: expected a label of negative, positive .* found label 'entail"):
        evaluate(builtin, tmp_path / "d.tsv")


def test_data_without_labels_is_refused(builtin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("text\ngood\n")
    with pytest.raises(EdgeBertError, match=r"d.tsv:2: expected a label of .*, found no label"):
        evaluate(builtin, tmp_path / "d.tsv")


def test_a_regression_has_no_accuracy(alter_manifest: Alter, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(DATA)
    with pytest.raises(EdgeBertError, match="accuracy needs a text-classification bundle of two labels or more, found"):
        evaluate(Bundle.load(alter_manifest(task="text-regression")), tmp_path / "d.tsv")


def test_the_interval_is_wilsons() -> None:
    # The figures of Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(20, 20)[1] == 1.0
