"""The quality that an export measures: by each task's metrics, by fidelity, or none, which is said."""

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plain_metrics
import pytest
from random_models import WORDS

import edgebert
from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.engines.session import open_session
from edgebert.exporters import quality
from edgebert.exporters.build import export
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.tasks.task import Result
from profiles import way

Make = Callable[..., Path]
GRID: dict[str, Any] = {"widths": [0.5, 1.0], "depths": [0.5, 1.0]}

# A config of each task, and what the label of a row may be.
TASKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "text-classification": ({"num_labels": 3}, ["LABEL_0", "1", "LABEL_2"]),
    "multi-label-text-classification": (
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        ["LABEL_0", "LABEL_0,LABEL_2", "", "LABEL_1"],
    ),
    "text-regression": ({"num_labels": 1, "problem_type": "regression"}, ["0.5", "-1.25", "3", "2"]),
}


def write_data(path: Path, labels: list[str] | None = None, rows: int = 40) -> Path:
    """Write pairs of random words, with labels drawn from some."""
    generator = random.Random(3)
    words = [word for word in WORDS if word.isalpha()]
    lines = ["text\tpair" + ("\tlabel" if labels else "")]
    for _ in range(rows):
        cells = [" ".join(generator.choices(words, k=generator.randint(1, 12))) for _ in range(2)]
        lines.append("\t".join([*cells, *([generator.choice(labels)] if labels else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def logits_of(bundle: Bundle, subnet: ExportedSubnet, data: Path) -> np.ndarray:
    session, tokenizer = open_session(bundle, subnet, way()), Tokenizer.of(bundle)
    rows = [pad([tokenizer.encode(row.input)], session.input_names) for row in read_examples(data)]
    return np.concatenate([session.run(row)["logits"] for row in rows])


def counted(task: str, logits: np.ndarray, labels: list[str]) -> dict[str, float]:
    """Return the metrics of logits by their definitions."""
    if task == "text-classification":
        found = [f"LABEL_{row.argmax()}" for row in logits]
        return {"accuracy": plain_metrics.accuracy(found, [f"LABEL_{label[-1]}" for label in labels])}
    if task == "text-regression":
        numbers, wanted = logits[:, 0].tolist(), [float(label) for label in labels]
        return {f.__name__: f(numbers, wanted) for f in (plain_metrics.spearman, plain_metrics.pearson)}
    names = ["LABEL_0", "LABEL_1", "LABEL_2"]
    sets = [{name for name, logit in zip(names, row, strict=True) if logit >= 0} for row in logits]
    right = [set(filter(None, label.split(","))) for label in labels]
    columns = zip(names, (1 / (1 + np.exp(-logits))).T, strict=True)
    precisions = [plain_metrics.average_precision(c.tolist(), [name in one for one in right]) for name, c in columns]
    known = [value for value in precisions if value is not None]
    return {
        "micro_f1": plain_metrics.micro_f1(sets, right),
        "mean_average_precision": sum(known) / len(known),
    }


@pytest.mark.parametrize("task", TASKS)
def test_quality_is_counted_with_the_graphs(make_checkpoint: Make, tmp_path: Path, task: str) -> None:
    config, labels = TASKS[task]
    data = write_data(tmp_path / "dev.tsv", labels)
    given = [str(row.label) for row in read_examples(data)]
    precisions = ["int8", "fp32"]
    bundle = export(make_checkpoint(**config), tmp_path / "bundle", **GRID, precisions=precisions, evaluation_data=data)
    for subnet in bundle.manifest.subnetworks:
        expected = counted(task, logits_of(bundle, subnet, data), given)
        found = subnet.quality
        assert found is not None
        assert (found.samples, found.dataset) == (40, f"{tmp_path.name}/dev.tsv")
        assert {found.metric: found.value, **found.also} == pytest.approx(expected, abs=1e-6)
        assert found.metric == next(iter(expected))
        if subnet.precision == "fp32":
            assert subnet.export_error.agreement == pytest.approx(1)
            assert subnet.export_error.quality_drop == pytest.approx(0, abs=1e-6)
    by_id = bundle.manifest.qualities
    for subnet in bundle.manifest.subnetworks:
        if subnet.precision == "int8":
            drop = by_id[subnet.id.replace("int8", "fp32")] - by_id[subnet.id]
            assert subnet.export_error.quality_drop == pytest.approx(drop, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_answers_are_kept_where_they_are_worth_something_to_a_cascade(
    make_checkpoint: Make, tmp_path: Path, task: str, precision: str
) -> None:
    config, labels = TASKS[task]
    data = write_data(tmp_path / "dev.tsv", labels)
    more: dict[str, Any] = {"calibration_data": data} if precision == "int8-static" else {}
    grid: dict[str, Any] = {"widths": [0.5, 1.0], "depths": [0.5]}
    bundle = export(
        make_checkpoint(**config), tmp_path / "bundle", **grid, precisions=[precision], evaluation_data=data, **more
    )
    answers = bundle.answers()
    if task == "text-regression":
        assert answers is None
        return
    assert answers is not None
    assert (answers.dataset, answers.samples) == (f"{tmp_path.name}/dev.tsv", 40)
    for kept, subnet in zip(answers.subnetworks, bundle.manifest.subnetworks, strict=True):
        assert subnet.quality is not None
        assert sum(kept.gained) / sum(kept.possible) == pytest.approx(subnet.quality.value)


def test_the_confidences_kept_are_those_that_the_bundle_gives(checkpoint: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "dev.tsv", ["LABEL_0", "LABEL_1"], rows=8)
    bundle = export(checkpoint, tmp_path / "bundle", **GRID, evaluation_data=data)
    answers = bundle.answers()
    assert answers is not None
    for kept in answers.subnetworks:
        with edgebert.load(bundle, subnet=kept.id) as model:
            given = [model(row.input)[0] for row in read_examples(data)]
        assert kept.gained == tuple(
            int(one["label"] == row.label) for one, row in zip(given, read_examples(data), strict=True)
        )
        for confidence, one in zip(kept.confidences, given, strict=True):
            assert 0 <= one["score"] - confidence < 1e-4


def test_each_sub_network_answers_the_evaluation_data_once(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, results_on = [], quality.results_on

    def noted(data: Path, bundle: Bundle, subnet: ExportedSubnet) -> list[Result]:
        asked.append(subnet.id)
        return results_on(data, bundle, subnet)

    monkeypatch.setattr(quality, "results_on", noted)
    data = write_data(tmp_path / "dev.tsv", ["LABEL_0"], rows=1)
    export(checkpoint, tmp_path / "bundle", widths=[0.5, 1.0], depths=[1.0], evaluation_data=data)
    assert asked == ["float", "float", "w1.00-d1.00-int8", "w0.50-d1.00-int8"]


@pytest.mark.parametrize("task", TASKS)
def test_fidelity_is_how_often_a_sub_network_answers_as_the_full_one(
    make_checkpoint: Make, tmp_path: Path, task: str
) -> None:
    config, _ = TASKS[task]
    texts = write_data(tmp_path / "texts.tsv")
    bundle = export(make_checkpoint(**config), tmp_path / "bundle", **GRID, precisions=["fp32", "int8"], texts=texts)
    full, *_ = bundle.manifest.subnetworks
    right = logits_of(bundle, full, texts)
    for subnet in bundle.manifest.subnetworks:
        assert subnet.quality is not None
        assert (subnet.quality.metric, subnet.quality.samples, subnet.quality.also) == ("fidelity", 40, {})
        assert subnet.quality.dataset == f"{tmp_path.name}/texts.tsv"
        found = logits_of(bundle, subnet, texts)
        expected = {
            "text-classification": (found.argmax(axis=1) == right.argmax(axis=1)).mean(),
            "multi-label-text-classification": ((found >= 0) == (right >= 0)).all(axis=1).mean(),
            "text-regression": plain_metrics.spearman(found[:, 0].tolist(), right[:, 0].tolist()),
        }
        assert subnet.quality.value == pytest.approx(expected[task])
    assert full.quality is not None
    assert full.quality.value == pytest.approx(1)
    assert bundle.answers() is None


def test_the_full_network_is_the_largest_whether_it_is_exported_or_not(checkpoint: Path, tmp_path: Path) -> None:
    texts = write_data(tmp_path / "texts.tsv")
    alone = export(checkpoint, tmp_path / "a", widths=[0.5], depths=[0.5], texts=texts)
    among = export(checkpoint, tmp_path / "b", **GRID, texts=texts)
    (subnet,) = alone.manifest.subnetworks
    assert among.manifest.qualities[subnet.id] == subnet.quality.value  # type: ignore[union-attr]
    assert subnet.quality is not None
    assert subnet.quality.value < 1


def test_of_several_checkpoints_the_largest_network_is_the_full_one(make_checkpoint: Make, tmp_path: Path) -> None:
    """Else the smallest checkpoint of all would be as good as itself, and always win."""
    texts = write_data(tmp_path / "texts.tsv")
    large, small = make_checkpoint("large"), make_checkpoint("small", num_hidden_layers=1)
    part = Slice(id="small", layers=(0,), heads=(4,), ffn=(96,))
    ElasticManifest(
        schema_version=1, method="x", widths=(), depths=(), rewired=True, origin="x", subnetworks=(part,)
    ).save(small)
    bundle = export([small, large], tmp_path / "bundle", precisions=["fp32"], texts=texts)
    few, full = bundle.manifest.subnetworks
    found, right = (logits_of(bundle, one, texts).argmax(axis=1) for one in (few, full))
    assert bundle.manifest.qualities == {"small-fp32": (found == right).mean(), "full-fp32": 1.0}


def test_labelled_data_goes_before_texts_which_add_fidelity(checkpoint: Path, tmp_path: Path) -> None:
    data, texts = write_data(tmp_path / "dev.tsv", ["LABEL_0", "LABEL_1"]), write_data(tmp_path / "texts.tsv", rows=20)
    both = export(checkpoint, tmp_path / "both", **GRID, evaluation_data=data, texts=texts)
    labelled = export(checkpoint, tmp_path / "labelled", **GRID, evaluation_data=data)
    unlabelled = export(checkpoint, tmp_path / "unlabelled", **GRID, texts=texts)
    assert both.manifest.metric == "accuracy"
    assert both.manifest.qualities == labelled.manifest.qualities
    for subnet in both.manifest.subnetworks:
        assert subnet.quality is not None
        assert subnet.quality.also == {"fidelity": unlabelled.manifest.qualities[subnet.id]}


def test_where_nothing_is_measured_quality_is_unknown_and_that_is_said_once(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        bundle = export(checkpoint, tmp_path / "bundle", **GRID)
    assert all(subnet.quality is None for subnet in bundle.manifest.subnetworks)
    assert caplog.text.count("no quality was measured, so the largest sub-network that fits will be used") == 1
    assert "export with --eval DATA, or with --texts DATA" in caplog.text
    with edgebert.load(bundle) as model:
        assert model.subnet.id == "w1.00-d1.00-int8"


def test_the_command_measures_fidelity(
    checkpoint: Path, tmp_path: Path, printed_by: Callable[..., "pytest.CaptureResult[str]"]
) -> None:
    texts, bundle = write_data(tmp_path / "texts.tsv"), str(tmp_path / "bundle")
    options = ["--widths", "0.5,1.0", "--texts", str(texts), "--task", "multi-label-text-classification"]
    done, errors = printed_by("export", str(checkpoint), "--out", bundle, *options)
    assert errors == ""
    assert f"fidelity is that on {tmp_path.name}/texts.tsv (40 samples)" in done
    assert "multi-label-text-classification" in done
