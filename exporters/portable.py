"""The portable flavor: standard ONNX operators only, in the forms that providers know how to fuse."""

import math
from collections.abc import Sequence

from onnx import TensorProto

from edgebert.exporters.nodes import Matrix, Nodes


class PortableNodes(Nodes):
    """Writes graphs for every engine."""

    def mask(self) -> str:
        """Return what is added to scores, (batch, 1, 1, length)."""
        ones = self.node("Unsqueeze", [self.floating("attention_mask"), self.integers(1, 2)])
        padding = self.node("Sub", [self.number(1), ones])
        return self.node("Mul", [padding, self.number(self.masked)])

    def product(self, states: str, matrix: Matrix) -> str:
        """Return the product in integers for int8, else in floats behind the roundings of the precision."""
        if self.precision == "int8":
            levels, step, zero = self.levels(states, matrix)
            sums = self.node("MatMulInteger", [levels, matrix.weight, zero])
            scale = self.node("Mul", [step, matrix.scale])
            product = self.node("Mul", [self.node("Cast", [sums], to=TensorProto.FLOAT), scale])
            return self.plus(product, matrix.bias)

        weight = matrix.weight
        if self.precision == "int8-static":
            states = self.node("DequantizeLinear", self.levels(states, matrix))
        if matrix.scale:
            # A scale for each output, and outputs are the columns.
            weight = self.node("DequantizeLinear", [weight, matrix.scale], axis=1)
        return self.plus(self.node("MatMul", [states, weight]), matrix.bias)

    def attention(
        self, projected: Sequence[str], heads: int, key_mask: str, bias: str | None = None, scale: float | None = None
    ) -> str:
        """Return what the tokens of the query attend to, step by step."""
        form = self.integers(0, 0, heads, self.head_size)
        query, key, value = (self.node("Reshape", [one, form]) for one in projected)
        query = self.node("Transpose", [query], perm=[0, 2, 1, 3])
        key = self.node("Transpose", [key], perm=[0, 2, 3, 1])
        value = self.node("Transpose", [value], perm=[0, 2, 1, 3])

        factor = self.number(1 / math.sqrt(self.head_size) if scale is None else scale)
        if self.precision == "fp16":
            # First, so that no product is larger than the scores: float16 ends at 65504.
            scores = self.node("MatMul", [self.node("Mul", [query, factor]), key])
        else:
            scores = self.node("Mul", [self.node("MatMul", [query, key]), factor])
        scores = self.plus(scores, bias)
        shares = self.node("Softmax", [self.node("Add", [scores, key_mask])], axis=-1)
        attended = self.node("Transpose", [self.node("MatMul", [shares, value])], perm=[0, 2, 1, 3])
        return self.node("Reshape", [attended, self.integers(0, 0, heads * self.head_size)])

    def turned(self, states: str, heads: int, tables: tuple[str, str], length: str) -> str:
        """Return states of which each head is turned by its place, step by step."""
        zero, size, half = self.integers(0), heads * self.head_size, self.head_size // 2
        # (length, 1, head size / 2): the same for all heads.
        cos, sin = (
            self.node("Unsqueeze", [self.node("Slice", [self.weight(name), zero, length, zero]), self.integers(1)])
            for name in tables
        )
        states = self.node("Reshape", [states, self.integers(0, 0, heads, self.head_size)])
        low = self.node("Split", [states, self.integers(half, half)], outputs=2, axis=3)
        high = f"{low}.1"

        products = [self.node("Mul", pair) for pair in ((low, cos), (high, sin), (high, cos), (low, sin))]
        turned = [self.node("Sub", products[:2]), self.node("Add", products[2:])]
        return self.node("Reshape", [self.node("Concat", turned, axis=3), self.integers(0, 0, size)])

    def gelu(self, x: str) -> str:
        """Return the GELU of x, by the error function."""
        erf = self.node("Erf", [self.node("Div", [x, self.number(math.sqrt(2))])])
        return self.node("Mul", [self.node("Mul", [x, self.node("Add", [erf, self.number(1)])]), self.number(0.5)])

    def gelu_tanh(self, x: str) -> str:
        """Return the GELU of x by tanh, step by step."""
        cube = self.node("Mul", [self.node("Mul", [x, x]), x])
        inner = self.node("Add", [x, self.node("Mul", [cube, self.number(0.044715)])])
        tanh = self.node("Tanh", [self.node("Mul", [inner, self.number(math.sqrt(2 / math.pi))])])
        return self.node("Mul", [self.node("Mul", [x, self.node("Add", [tanh, self.number(1)])]), self.number(0.5)])
