"""The law of the exporter: every graph computes what the original model computes when it is cut in torch."""

import numpy as np
import onnx
import oracle
import pytest
from transformers import BertForSequenceClassification

from edgebert.bundle import Bundle, ExportedSubnet
from edgebert.exporters.checkpoint import read_checkpoint
from edgebert.exporters.verify import random_inputs
from edgebert.session import open_session
from edgebert.tokenization import Arrays


def subnets(bundle: Bundle, precision: str) -> list[ExportedSubnet]:
    return [subnet for subnet in bundle.manifest.subnetworks if subnet.precision == precision]


@pytest.fixture(scope="module")
def batches(exported: Bundle) -> tuple[Arrays, ...]:
    """Padded batches of two segments, with lengths from 2 to the model's most."""
    source = read_checkpoint(exported.path.parent / "checkpoint")
    return (*random_inputs(source, 64), *random_inputs(source, 2, seed=1), *random_inputs(source, 33, seed=2))


def test_fp32_graphs_are_the_original_model(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...]
) -> None:
    assert len(subnets(exported, "fp32")) == 16
    for subnet in subnets(exported, "fp32"):
        session, cut = open_session(exported, subnet), oracle.cut(model, subnet)
        for inputs in batches:
            np.testing.assert_allclose(session.run(inputs), oracle.logits(cut, inputs), atol=1e-4, err_msg=subnet.id)


def test_int8_graphs_are_close_to_the_original_model(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...]
) -> None:
    for subnet in subnets(exported, "int8"):
        session, cut = open_session(exported, subnet), oracle.cut(model, subnet)
        expected = np.concatenate([oracle.logits(cut, inputs) for inputs in batches])
        found = np.concatenate([session.run(inputs) for inputs in batches])
        np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max(), err_msg=subnet.id)


def test_the_largest_sub_network_is_the_original_model(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...]
) -> None:
    session = open_session(exported, exported.subnet("w1.00-d1.00-fp32"))
    for inputs in batches:
        np.testing.assert_allclose(session.run(inputs), oracle.logits(model, inputs), atol=1e-4)


def test_padding_changes_no_fp32_answer(exported: Bundle, batches: tuple[Arrays, ...]) -> None:
    session = open_session(exported, exported.subnet("w0.50-d0.75-fp32"))
    padded = session.run(batches[0])
    for row, length in enumerate(batches[0]["attention_mask"].sum(axis=1)):
        alone = {name: array[row : row + 1, :length] for name, array in batches[0].items()}
        np.testing.assert_allclose(session.run(alone)[0], padded[row], atol=1e-5)


def test_graphs_are_plain_onnx_that_share_one_file(exported: Bundle) -> None:
    for subnet in exported.manifest.subnetworks:
        graph = onnx.load(exported.path / subnet.graphs["fused"].file, load_external_data=False)
        dtype = "fp32" if subnet.precision == "fp32" else "int8"
        files = {entry.value for t in graph.graph.initializer for entry in t.external_data if entry.key == "location"}
        assert files == {f"weights-{dtype}.bin"}
        assert [value.name for value in graph.graph.input] == list(exported.manifest.inputs)
        assert [value.name for value in graph.graph.output] == ["logits"]


def test_parameters_are_those_that_the_graph_reads(exported: Bundle) -> None:
    for subnet in subnets(exported, "fp32"):
        graph = onnx.load(exported.path / subnet.graphs["fused"].file, load_external_data=False).graph
        read = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.external_data)
        assert subnet.parameters == read
        assert exported.subnet(subnet.id.replace("fp32", "int8")).parameters == read


def test_the_full_parameter_count_is_transformers(exported: Bundle, model: BertForSequenceClassification) -> None:
    assert exported.subnet("w1.00-d1.00-fp32").parameters == model.num_parameters()
