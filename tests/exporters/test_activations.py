"""Activations: those of transformers under all its names, in graphs of both flavors and in numpy."""

from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from transformers.activations import ACT2FN

from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.fused import FusedNodes
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.portable import PortableNodes
from edgebert.exporters.weights import Weights
from edgebert.inputs.manifest import FileRef, WeightFile

X = np.concatenate([np.linspace(-12, 12, 2001), [-1e4, -100, 100, 1e4]]).astype(np.float32)


def test_all_names_of_transformers_are_known_but_those_with_weights_of_their_own() -> None:
    assert set(ACT2FN) - set(ACTIVATIONS) == {"prelu", "xielu"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numpy_computes_transformers_activation(name: str) -> None:
    expected = ACT2FN[name](torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(ACTIVATIONS[name].compute(X), expected, rtol=1e-5, atol=3e-6)


GIVEN = np.array([[-250, -100, *range(-30, 31), 100, 250]])


def written(name: str, nodes_of: type[Nodes], precision: Literal["fp32", "fp16"]) -> bytes:
    """Return a graph of an activation alone, whose input is int64 and whose output float32."""
    none = FileRef(file="", sha256="", size_bytes=0)
    file = WeightFile(file="", dtype=precision, size_bytes=0, sha256="", pieces=none)
    nodes = nodes_of(Weights(file, {}), precision, head_size=1, roundings={})
    active = ACTIVATIONS[name].write(nodes, nodes.floating("x"))
    nodes.node("Identity", [nodes.widened(active)], name="y")
    return nodes.serialize(["x"], {"y": ["batch", "length"]})


@pytest.mark.parametrize("flavor", [FusedNodes, PortableNodes])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_graphs_compute_transformers_activation(name: str, flavor: type[Nodes]) -> None:
    session = onnxruntime.InferenceSession(written(name, flavor, "fp32"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": GIVEN})
    expected = ACT2FN[name](torch.from_numpy(GIVEN).float()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_in_float16_they_are_as_near_as_it_is_exact(name: str) -> None:
    """Also where a step on the way is infinite in it. Computed as a GPU does: ONNX Runtime's CPU provider does not."""
    graph = ReferenceEvaluator(onnx.load_from_string(written(name, PortableNodes, "fp16")))
    (found,) = graph.run(None, {"x": GIVEN})
    expected = ACT2FN[name](torch.from_numpy(GIVEN).float()).numpy()
    np.testing.assert_allclose(found, expected, rtol=4e-3, atol=4e-3)
