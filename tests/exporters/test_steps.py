"""A fault in an int8 graph is found in every task, however far rounding moves outputs."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from random_models import list_slices, random_classifier, save, write_texts
from sentence_models import sentence_model
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from edgebert.elastic_manifest import Slice
from edgebert.errors import ExportError
from edgebert.exporters import bundle_writer
from edgebert.exporters.build import export
from edgebert.subnet import Flavor, Precision, Subnet
from edgebert.tasks.tasks import TASKS

PART = Slice(id="part", layers=(0, 2), heads=(3, 2), ffn=(96, 48))
HEADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-classification": (AutoModelForSequenceClassification, {}),
    "multi-label-text-classification": (
        AutoModelForSequenceClassification,
        {"problem_type": "multi_label_classification"},
    ),
    "text-regression": (AutoModelForSequenceClassification, {"num_labels": 1, "problem_type": "regression"}),
    "token-classification": (AutoModelForTokenClassification, {}),
    "question-answering": (AutoModelForQuestionAnswering, {"num_labels": 2}),
}
# A tensor of the second layer that is kept, and what it is multiplied by or in which order its rows stand.
FAULTS: dict[str, tuple[str, Any]] = {
    "no bias": ("2.ffn_in.bias", None),
    "swapped heads": ("2.o.weight", [*range(12, 24), *range(12)]),
    "the scales of other outputs": ("2.v.scale", [*range(1, 24), 0]),
}


def with_fault(graph: bytes, fault: str) -> bytes:
    """Return a graph in which a tensor is multiplied by 0, or its rows stand in another order."""
    name, order = FAULTS[fault]
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.input[:] = ["wrong" if one == name else one for one in node.input]
    value = np.float32(0) if order is None else np.array(order)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), "order"))
    model.graph.node.insert(0, helper.make_node("Mul" if order is None else "Gather", [name, "order"], ["wrong"]))
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each task."""
    folder = tmp_path_factory.mktemp("tasks")
    for task, (head, config) in HEADS.items():
        list_slices(save(random_classifier("bert", head, **config), folder / task), PART)
    sentence_model(folder / "sentence-embedding")
    list_slices(folder / "sentence-embedding", PART)
    pairs = write_texts(folder / "pairs.tsv").read_text().splitlines()
    (folder / "texts.tsv").write_text("".join(line.split("\t")[0] + "\n" for line in pairs))
    return folder


# In int8 every fault of every task and flavor, in int8-static one of each task and flavor.
IN_INT8 = list(itertools.product(TASKS, ("fused", "portable"), FAULTS, ("int8",)))
IN_STATIC = zip(itertools.product(TASKS, ("fused", "portable")), itertools.cycle(FAULTS))


@pytest.mark.parametrize(
    ("task", "flavor", "fault", "precision"),
    [*IN_INT8, *((*where, fault, "int8-static") for where, fault in IN_STATIC)],
    ids=lambda value: getattr(value, "NAME", value),
)
def test_a_fault_is_found(
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: type[Any],
    flavor: Flavor,
    fault: str,
    precision: Precision,
) -> None:
    right = bundle_writer.build_graph

    def wrong(subnet: Subnet, asked: Flavor, *more: Any, **options: Any) -> bytes:
        graph = right(subnet, asked, *more, **options)
        return with_fault(graph, fault) if asked == flavor else graph

    monkeypatch.setattr(bundle_writer, "build_graph", wrong)
    texts = checkpoints / ("pairs.tsv" if task.PAIRS_ONLY else "texts.tsv")
    with pytest.raises(
        ExportError, match=r"graph of part-int8.* does not compute .*: what \S+ reads is off by .*; rep"
    ):
        export(checkpoints / task.NAME, tmp_path / "bundle", precisions=[precision], calibration_data=texts)
