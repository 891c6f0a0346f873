"""Builds an ONNX graph: its nodes, its small constants, and its tensors, which lie in a weight file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.exporters.quantize import Range
from edgebert.exporters.weights import Stored, Weights, is_outputs_first, scale_name
from edgebert.subnet import Precision

CONTRIB = "com.microsoft"


@dataclass(frozen=True)
class Matrix:
    """One product's constants, by the names of their values: a matrix (inputs, outputs), and for each output the scale
    and the bias, if there is one; `range` is what the product's input is rounded to, where that is known beforehand."""

    weight: str
    scale: str
    bias: str
    range: Range | None


class Nodes:
    """Nodes and initializers; a value is known by its name. `ranges` are those of each unit's input."""

    def __init__(self, weights: Weights, precision: Precision, ranges: Mapping[str, Range]):
        self.precision = precision
        self._weights, self._ranges = weights, ranges
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}

    def node(
        self, op: str, inputs: Sequence[str], *, outputs: int = 1, name: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Add a node and return the name of its first output; the others are that name with .1, .2 and so on."""
        name = name or f"v{len(self._nodes)}"
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        self._nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Add a small constant, held in the graph itself, and return its name."""
        # Named by its value, so that equal constants are one.
        name = f"{values.dtype}{list(values.shape)}:{','.join(map(repr, values.ravel().tolist()))}"
        self._initializers.setdefault(name, numpy_helper.from_array(values, name))
        return name

    def integers(self, *values: int) -> str:
        """Add a small int64 vector and return its name."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Add a float32 scalar and return its name."""
        return self.constant(np.array(value, np.float32))

    def weight(self, name: str, rows: int | None = None) -> str:
        """Add the first rows of a stored tensor and return its name."""
        if name not in self._initializers:
            stored = self._weights.tensors[name].prefix(rows)
            self._initializers[name] = _external(name, stored, self._weights.file.file)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a stored tensor, with all its rows."""
        return self._weights.tensors[name].shape

    def matrix(self, units: Sequence[str], *, outputs: int | None = None, inputs: int | None = None) -> Matrix:
        """Return the constants of one product with the first `outputs` of each of several units side by side, or with
        the first `inputs` of one.

        Concat and Transpose have constant inputs; ONNX Runtime computes them once, when it loads the graph.
        """
        weight = self._joined([self.weight(f"{unit}.weight", outputs or inputs) for unit in units])
        if is_outputs_first(units[0]):
            weight = self.node("Transpose", [weight], perm=[1, 0])
        is_int8, has_bias = self._weights.file.dtype == "int8", f"{units[0]}.bias" in self._weights.tensors
        return Matrix(
            weight=weight,
            scale=self._joined([self.weight(scale_name(unit), outputs) for unit in units]) if is_int8 else "",
            bias=self._joined([self.weight(f"{unit}.bias", outputs) for unit in units]) if has_bias else "",
            range=self._ranges.get(units[0]),
        )

    def _joined(self, names: Sequence[str]) -> str:
        return names[0] if len(names) == 1 else self.node("Concat", names, axis=0)

    def split(self, states: str, size: int, parts: int) -> list[str]:
        """Return the parts of states (batch, length, parts * size), each (batch, length, size)."""
        first = self.node("Split", [states, self.integers(*[size] * parts)], outputs=parts, axis=2)
        return [first, *(f"{first}.{number}" for number in range(1, parts))]

    def words(self, ids: str) -> str:
        """Return the word embeddings (batch, length, embedding) float32 of ids (batch, length)."""
        rows = self.node("Gather", [self.weight("word"), ids])
        if self._weights.file.dtype == "fp32":
            return rows
        scales = self.node("Gather", [self.weight(scale_name("word")), ids])
        return self.node("Mul", [self.node("Cast", [rows], to=TensorProto.FLOAT), scales])

    def serialize(self, inputs: Sequence[str], outputs: Mapping[str, Sequence[str | int]]) -> bytes:
        """Return the ONNX model, whose inputs are int64 (batch, length); outputs are float32, with their dimensions."""
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
        found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()]
        graph = helper.make_graph(self._nodes, "edgebert", given, found, list(self._initializers.values()))

        # The oldest that have LayerNormalization, so that as many runtimes as possible read it.
        opsets = [helper.make_opsetid("", 17)]
        if any(node.domain == CONTRIB for node in self._nodes):
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="edgebert")
        return bytes(model.SerializeToString())


def _external(name: str, stored: Stored, file: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(stored.dtype), dims=stored.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", stored.offset), ("length", stored.size_bytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
