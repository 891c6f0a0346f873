"""Activations: those of transformers under all its names, in graphs of both flavors and in numpy."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto
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


@pytest.mark.parametrize("flavor", [FusedNodes, PortableNodes])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_graphs_compute_transformers_activation(name: str, flavor: type[Nodes]) -> None:
    none = WeightFile(file="", dtype="fp32", size_bytes=0, sha256="", pieces=FileRef(file="", sha256="", size_bytes=0))
    nodes = flavor(Weights(none, {}), "fp32", head_size=1, roundings={})
    x = nodes.node("Cast", ["x"], to=TensorProto.FLOAT)
    nodes.node("Identity", [ACTIVATIONS[name].write(nodes, x)], name="y")
    graph = nodes.serialize(["x"], {"y": ["batch", "length"]})
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    given = np.arange(-30, 31)[None]
    (found,) = session.run(None, {"x": given})
    expected = ACT2FN[name](torch.from_numpy(given).float()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6)
