"""The law of the exporter: every graph computes what the original model computes when it is cut in torch."""

import numpy as np
import onnx
import onnxruntime
import oracle
import pytest
from onnx import TensorProto, numpy_helper
from transformers import BertForSequenceClassification

from edgebert.engines.session import open_session
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.verify import random_inputs
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Flavor, Precision, storage_of
from edgebert.tasks.task import mean_difference
from profiles import way

FLAVORS: tuple[Flavor, ...] = ("fused", "portable")


def subnets(bundle: Bundle, precision: str) -> list[ExportedSubnet]:
    return [subnet for subnet in bundle.manifest.subnetworks if subnet.precision == precision]


def graph_of(bundle: Bundle, subnet: ExportedSubnet, flavor: Flavor) -> onnx.ModelProto:
    return onnx.load(bundle.path / subnet.graphs[flavor].file, load_external_data=False)


@pytest.fixture(scope="module")
def batches(exported: Bundle) -> tuple[Arrays, ...]:
    """Padded batches of two segments, with lengths from 2 to the model's most."""
    source = read_checkpoint(exported.path.parent / "checkpoint")
    lengths = {64: 0, 2: 1, 33: 2}
    return sum((random_inputs(source, most, token_types=True, seed=seed) for most, seed in lengths.items()), ())


@pytest.mark.parametrize("flavor", FLAVORS)
def test_fp32_graphs_are_the_original_model(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...], flavor: Flavor
) -> None:
    assert len(subnets(exported, "fp32")) in (9, 16)
    for subnet in subnets(exported, "fp32"):
        session, cut = open_session(exported, subnet, way(flavor=flavor)), oracle.cut(model, subnet)
        for inputs in batches:
            np.testing.assert_allclose(
                session.run(inputs)["logits"], oracle.logits(cut, inputs), atol=1e-4, err_msg=subnet.id
            )


@pytest.mark.parametrize("flavor", FLAVORS)
def test_int8_weights_graphs_are_the_original_model_with_rounded_weights(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...], flavor: Flavor
) -> None:
    rounded = oracle.rounded(model)
    for subnet in subnets(exported, "int8-weights"):
        session, cut = open_session(exported, subnet, way(flavor=flavor)), oracle.cut(rounded, subnet)
        for inputs in batches:
            np.testing.assert_allclose(
                session.run(inputs)["logits"], oracle.logits(cut, inputs), atol=1e-4, err_msg=subnet.id
            )


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize(("precision", "share"), [("int8", 0.1), ("int8-static", 0.2)])
def test_int8_graphs_are_close_to_the_original_model(
    exported: Bundle,
    model: BertForSequenceClassification,
    batches: tuple[Arrays, ...],
    flavor: Flavor,
    precision: Precision,
    share: float,
) -> None:
    """How close depends on the weights, which are random here: these are nets for what is plainly wrong."""
    for subnet in subnets(exported, precision):
        session, cut = open_session(exported, subnet, way(flavor=flavor)), oracle.cut(model, subnet)
        expected = np.concatenate([oracle.logits(cut, inputs) for inputs in batches])
        found = np.concatenate([session.run(inputs)["logits"] for inputs in batches])
        assert mean_difference({"logits": found}, {"logits": expected}) < share * np.abs(expected).max(), subnet.id


def test_the_largest_sub_network_is_the_original_model(
    exported: Bundle, model: BertForSequenceClassification, batches: tuple[Arrays, ...]
) -> None:
    session = open_session(exported, exported.subnet("w1.00-d1.00-fp32"), way())
    for inputs in batches:
        np.testing.assert_allclose(session.run(inputs)["logits"], oracle.logits(model, inputs), atol=1e-4)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("precision", ["fp32", "int8-static", "int8-weights"])
def test_a_batch_of_mixed_lengths_gives_the_answers_of_each_alone(
    exported: Bundle, batches: tuple[Arrays, ...], flavor: Flavor, precision: Precision
) -> None:
    """But for int8, whose activations are rounded to the range of what shares their batch."""
    session = open_session(exported, exported.subnet(f"w0.50-d0.75-{precision}"), way(flavor=flavor))
    padded = session.run(batches[0])["logits"]
    for row, length in enumerate(batches[0]["attention_mask"].sum(axis=1)):
        alone = {name: array[row : row + 1, :length] for name, array in batches[0].items()}
        np.testing.assert_allclose(session.run(alone)["logits"][0], padded[row], atol=1e-5)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_fp16_is_computed_in_float16_but_for_the_last_layer(exported: Bundle, flavor: Flavor) -> None:
    for subnet in subnets(exported, "fp16"):
        model = graph_of(exported, subnet, flavor)
        assert {value.type.tensor_type.elem_type for value in model.graph.output} == {TensorProto.FLOAT}
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        in_float = {name for name, tensor in constants.items() if tensor.data_type == TensorProto.FLOAT}
        assert in_float == {"classifier.weight", "classifier.bias"}
        casts = [node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"]
        assert casts.count(TensorProto.FLOAT) == 1  # in front of it
        numbers = [numpy_helper.to_array(tensor) for tensor in constants.values() if not tensor.external_data]
        assert all(np.isfinite(values).all() for values in numbers)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_graphs_are_plain_onnx_that_share_one_file(exported: Bundle, flavor: Flavor) -> None:
    for subnet in exported.manifest.subnetworks:
        graph = graph_of(exported, subnet, flavor).graph
        files = {entry.value for t in graph.initializer for entry in t.external_data if entry.key == "location"}
        assert files == {f"weights-{storage_of(subnet.precision)}.bin"}
        assert [value.name for value in graph.input] == list(exported.manifest.inputs)
        assert [value.name for value in graph.output] == ["logits"]


def test_portable_graphs_are_standard_onnx(exported: Bundle) -> None:
    for subnet in exported.manifest.subnetworks:
        onnx.checker.check_model(exported.path / subnet.graphs["portable"].file, full_check=True)
        model = graph_of(exported, subnet, "portable")
        assert [opset.domain for opset in model.opset_import] == [""]
        assert {node.domain for node in model.graph.node} == {""}


def test_the_last_layer_is_computed_for_cls_alone(exported: Bundle, batches: tuple[Arrays, ...]) -> None:
    model = graph_of(exported, exported.subnet("w0.50-d0.75-fp32"), "portable")
    norms = [node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in norms)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(exported.path))
    states = onnxruntime.InferenceSession(model.SerializeToString(), options).run(norms, batches[0])
    assert [array.shape[1] for array in states] == [40, 40, 40, 40, 40, 1, 1]


def test_parameters_are_those_that_the_graph_reads(exported: Bundle) -> None:
    for subnet in subnets(exported, "fp32"):
        graph = graph_of(exported, subnet, "fused").graph
        read = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.external_data)
        assert subnet.parameters == read
        assert exported.subnet(subnet.id.replace("fp32", "int8")).parameters == read


def test_the_full_parameter_count_is_transformers(exported: Bundle, model: BertForSequenceClassification) -> None:
    assert exported.subnet("w1.00-d1.00-fp32").parameters == model.num_parameters()
