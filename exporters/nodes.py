"""Builds an ONNX graph: its nodes, its small constants, and its tensors, which lie in a weight file.

What the flavors write in ways of their own stands in fused.py and portable.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.exporters.quantize import InputRounding, InputRoundings
from edgebert.exporters.weights import Stored, Weights, is_outputs_first, scale_name
from edgebert.subnet import Precision

CONTRIB = "com.microsoft"


@dataclass(frozen=True)
class Matrix:
    """One product's constants, by the names of their values: a matrix (inputs, outputs), and for each output the scale
    and the bias, if there is one; and how the product's input is rounded, if it is."""

    weight: str
    scale: str
    bias: str
    rounding: InputRounding


class Nodes(ABC):
    """Nodes and initializers; a value is known by its name. `roundings` are for precisions that round inputs."""

    def __init__(self, weights: Weights, precision: Precision, head_size: int, roundings: InputRoundings):
        self.precision, self.head_size = precision, head_size
        self._floats: type[np.floating[Any]] = np.float16 if precision == "fp16" else np.float32
        self._weights, self._roundings = weights, roundings
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._read: dict[str, str] = {}  # by the unit: what enters its product

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
        """Add a scalar of the type that is computed with, and return its name."""
        return self.constant(np.array(value, self._floats))

    def floating(self, x: str) -> str:
        """Return integers or truths as numbers of the type that is computed with."""
        return self.node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(self._floats)))

    def widened(self, x: str) -> str:
        """Return x in float32; what is written from here on is computed in it, in fp16 too."""
        if self.precision != "fp16":
            return x
        self._floats = np.float32
        return self.floating(x)

    def narrowed(self, x: str) -> str:
        """Return a widened x in the precision's own type; what is written from here on is computed in it again."""
        if self.precision != "fp16":
            return x
        self._floats = np.float16
        return self.floating(x)

    def sum(self, parts: Sequence[str]) -> str:
        """Return the sum of two values or more."""
        if self.precision == "fp16":  # for GPUs, where it is well that ONNX Runtime fuses it with the norm behind it
            return reduce(lambda one, other: self.node("Add", [one, other]), parts)
        # Not Add: ONNX Runtime fuses that into its SkipLayerNormalization, which on a CPU takes 4 to 9 times as long.
        return self.node("Sum", parts)

    def weight(self, name: str, rows: int | None = None) -> str:
        """Add the first rows of a stored tensor and return its name."""
        # A prefix starts where the whole does: the same bytes serve every width.
        stored = self._weights.tensors[name].prefix(rows)
        known = self._initializers.get(name)
        if known is not None and tuple(known.dims) != stored.shape:
            name = f"{name}:{rows}"  # of a tensor that serves all layers, narrower ones read fewer rows
        self._initializers.setdefault(name, _external(name, stored, self._weights.file.file))
        return name

    def has(self, name: str) -> bool:
        """Return whether a tensor is stored."""
        return name in self._weights.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a stored tensor, with all its rows."""
        return self._weights.tensors[name].shape

    def matrix(self, units: Sequence[str], *, outputs: int | None = None, inputs: int | None = None) -> Matrix:
        """Return the constants of one product: the first `outputs` of several units side by side, or the first `inputs`
        of one unit."""
        # Concat and Transpose have constant inputs: ONNX Runtime computes them once, when it loads the graph.
        # Rows either way: what is cut is stored first (weights.py).
        weight = self._joined([self.weight(f"{unit}.weight", outputs or inputs) for unit in units])
        if is_outputs_first(units[0]):
            weight = self.node("Transpose", [weight], perm=[1, 0])
        is_int8, has_bias = self._weights.file.dtype == "int8", self.has(f"{units[0]}.bias")
        return Matrix(
            weight=weight,
            scale=self._joined([self.weight(scale_name(unit), outputs) for unit in units]) if is_int8 else "",
            bias=self._joined([self.weight(f"{unit}.bias", outputs) for unit in units]) if has_bias else "",
            rounding=self.rounding(units[0]),
        )

    def rounding(self, unit: str) -> InputRounding:
        """Return how the input of a unit's product is rounded, where the precision does that."""
        return self._roundings.get(unit, InputRounding())

    def _joined(self, names: Sequence[str]) -> str:
        return names[0] if len(names) == 1 else self.node("Concat", names, axis=0)

    def linear(
        self, states: str, units: Sequence[str], *, outputs: int | None = None, inputs: int | None = None
    ) -> str:
        """Return states (..., inputs) times the matrix of some units, and its bias; cut as `matrix` does."""
        self.note_read(states, units)
        matrix = self.matrix(units, outputs=outputs, inputs=inputs)
        return self._with_outliers(states, matrix) if matrix.rounding.outliers else self.product(states, matrix)

    def _with_outliers(self, states: str, matrix: Matrix) -> str:
        """Return states (..., inputs) times a matrix, and its bias: the outliers' part in float32 (Dettmers et al.
        2022)."""
        columns = self.integers(*matrix.rounding.outliers)
        # Both constant, so they are computed when the graph is loaded: rows of the matrix, and 0 for outliers, else 1.
        rows = self.node("Cast", [self.node("Gather", [matrix.weight, columns])], to=TensorProto.FLOAT)
        rows = self.node("Mul", [rows, matrix.scale])
        inputs = self.node("Shape", [matrix.weight], start=0, end=1)
        zeros = self.constant(np.zeros(len(matrix.rounding.outliers), np.float32))
        others = self.node("ScatterElements", [self.node("Expand", [self.number(1), inputs]), columns, zeros])

        product = self.product(self.node("Mul", [states, others]), matrix)
        outliers = self.node("MatMul", [self.node("Gather", [states, columns], axis=-1), rows])
        return self.node("Add", [product, outliers])

    def note_read(self, states: str, units: Sequence[str]) -> None:
        """Remember what enters the product of some units."""
        self._read |= dict.fromkeys(units, states)

    def shown_read(self) -> list[str]:
        """Give what enters each unit's product a name of its own, `read_name`, and return these."""
        return [self.node("Identity", [states], name=read_name(unit)) for unit, states in self._read.items()]

    def projected(self, states: str, layer: int, units: str, heads: int) -> list[str]:
        """Return what some of q, k and v make of states (batch, length, hidden), each (batch, length, size).

        The size is that of so many heads side by side.
        """
        # One product for all of them: their input is rounded once, 3 to 10 % faster with two threads.
        size = heads * self.head_size
        joined = self.linear(states, [f"{layer}.{unit}" for unit in units], outputs=size)
        return self.parts(joined, len(units), size)

    def parts(self, joined: str, count: int, size: int) -> list[str]:
        """Return the parts (batch, length, size) that stand side by side."""
        if count == 1:
            return [joined]
        first = self.node("Split", [joined, self.integers(*[size] * count)], outputs=count, axis=2)
        return [first, *(f"{first}.{number}" for number in range(1, count))]

    def by_head(self, states: str, heads: int) -> str:
        """Return states (batch, tokens, size) as (batch, heads, tokens, head size)."""
        states = self.node("Reshape", [states, self.integers(0, 0, heads, self.head_size)])
        return self.node("Transpose", [states], perm=[0, 2, 1, 3])

    def norm(self, states: str, unit: str, epsilon: float) -> str:
        """Return the layer norm of states, which may have no bias."""
        names = [f"{unit}.{kind}" for kind in ("weight", "bias")]
        weights = [self.weight(name) for name in names if self.has(name)]
        return self.node("LayerNormalization", [states, *weights], axis=-1, epsilon=epsilon)

    def levels(self, states: str, matrix: Matrix) -> tuple[str, str, str]:
        """Return states as uint8 levels, their scale and their zero point."""
        found = matrix.rounding.range
        if found is None:
            levels = self.node("DynamicQuantizeLinear", [states], outputs=3)
            return levels, f"{levels}.1", f"{levels}.2"
        scale, zero = self.number(float(found.scale)), self.constant(np.array(found.zero_point, np.uint8))
        return self.node("QuantizeLinear", [states, scale, zero]), scale, zero

    def plus(self, x: str, bias: str | None) -> str:
        """Return the sum, x itself where there is no bias."""
        return self.node("Add", [x, bias]) if bias else x

    @property
    def masked(self) -> float:
        """What is added to the score of a token that is not seen: its share becomes exactly 0."""
        # In float16 twice as much is still a number: a token may be padding and too far away.
        return -30_000 if self.precision == "fp16" else -1e9

    @abstractmethod
    def mask(self) -> str:
        """Return the mask in the form that `attention` takes."""

    @abstractmethod
    def product(self, states: str, matrix: Matrix) -> str:
        """Return states (..., inputs) times a matrix (inputs, outputs), and its bias."""

    def self_attention(self, states: str, layer: int, heads: int, key_mask: str) -> str:
        """Return what every token attends to, (batch, length, size), with the first `heads` heads."""
        return self.attention(self.projected(states, layer, "qkv", heads), heads, key_mask)

    @abstractmethod
    def attention(
        self, projected: Sequence[str], heads: int, key_mask: str, bias: str | None = None, scale: float | None = None
    ) -> str:
        """Return what the tokens of the query attend to among those of key and value, (batch, tokens, size).

        `projected` are the query (batch, tokens, size), the key and the value (batch, length, size). Scores are
        multiplied by a scale, or divided by the root of the head size; then a bias (batch, heads, tokens, length) is
        added, whose first two dimensions may be 1.
        """

    @abstractmethod
    def turned(self, states: str, heads: int, tables: tuple[str, str], length: str) -> str:
        """Return states (batch, length, size) of which each head is turned by its place.

        The tables are stored ones of cosines and sines (places, head size / 2), of no fewer places than the length.
        """

    @abstractmethod
    def gelu(self, x: str) -> str:
        """Return x times the normal distribution function of x."""

    @abstractmethod
    def gelu_tanh(self, x: str) -> str:
        """Return what `gelu` does, nearly: by tanh (Hendrycks and Gimpel 2016)."""

    def words(self, ids: str) -> str:
        """Return the word embeddings (batch, length, embedding) of ids (batch, length)."""
        # In int8 each row has a scale: a vocabulary is the largest tensor of a small model, and takes a quarter so.
        rows = self.node("Gather", [self.weight("word"), ids])
        if self._weights.file.dtype != "int8":
            return rows
        scales = self.node("Gather", [self.weight(scale_name("word")), ids])
        return self.node("Mul", [self.node("Cast", [rows], to=TensorProto.FLOAT), scales])

    def serialize(self, inputs: Sequence[str], outputs: Mapping[str, Sequence[str | int] | None]) -> bytes:
        """Return the ONNX model: its inputs are int64 (batch, length), its outputs float32, with their dimensions where
        these are known."""
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
        found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()]
        graph = helper.make_graph(self._nodes, "edgebert", given, found, list(self._initializers.values()))

        # The oldest that have LayerNormalization, so that as many runtimes as possible read it.
        opsets = [helper.make_opsetid("", 17)]
        if any(node.domain == CONTRIB for node in self._nodes):
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="edgebert")
        return bytes(model.SerializeToString())


def read_name(unit: str) -> str:
    """Return what the output is called that shows what enters a unit's product."""
    return f"{unit}.read"


def _external(name: str, stored: Stored, file: str) -> TensorProto:
    # onnx.external_data_helper does this only for a tensor that holds its bytes.
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(stored.dtype), dims=stored.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", stored.offset), ("length", stored.size_bytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
