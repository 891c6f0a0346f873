"""The fused flavor: operators of ONNX Runtime's own, which are the fastest on its CPU provider."""

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto

from edgebert.exporters.nodes import CONTRIB, Matrix, Nodes
from edgebert.subnet import rounds_inputs


class FusedNodes(Nodes):
    """Writes graphs for ONNX Runtime's CPU provider."""

    def mask(self) -> str:
        """Return the mask as it comes, (batch, length) int32."""
        # Without one, graphs would be 1 to 4 % faster, but batches need it; lengths instead gain nothing (docs/log.md).
        return self.node("Cast", ["attention_mask"], to=TensorProto.INT32)

    def product(self, states: str, matrix: Matrix) -> str:
        """Return the product by the operator that rounds as the precision does."""
        if self.precision == "int8":
            # The bias here, not in attention, GELU or norm: as fast, and one form for all precisions.
            inputs = [states, matrix.weight, matrix.scale, "", matrix.bias]
            return self.node("DynamicQuantizeMatMul", inputs, domain=CONTRIB)
        if self.precision == "int8-static":
            levels, scale, zero = self.levels(states, matrix)
            inputs = [levels, matrix.weight, scale, matrix.scale, zero, "", matrix.bias]
            return self.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)

        weight = matrix.weight
        if self.precision == "int8-weights":
            # All constant: done once, when the graph is loaded.
            weight = self.node("Mul", [self.node("Cast", [weight], to=TensorProto.FLOAT), matrix.scale])
        return self.plus(self.node("MatMul", [states, weight]), matrix.bias)

    def self_attention(self, states: str, layer: int, heads: int, key_mask: str) -> str:
        """Return what every token attends to, in int8 with q, k and v in one operator."""
        units = [f"{layer}.{unit}" for unit in "qkv"]
        if not rounds_inputs(self.precision) or self.rounding(units[0]).outliers:
            return super().self_attention(states, layer, heads, key_mask)
        # 2 to 7 % faster for MiniLM than a product, Split and MultiHeadAttention (docs/log.md).
        self.note_read(states, units)
        matrix = self.matrix(units, outputs=heads * self.head_size)
        levels, scale, zero = self.levels(states, matrix)
        inputs = [levels, matrix.weight, matrix.bias, scale, matrix.scale, key_mask, zero]
        return self.node("QAttention", inputs, domain=CONTRIB, num_heads=heads)

    def attention(
        self, projected: Sequence[str], heads: int, key_mask: str, bias: str | None = None, scale: float | None = None
    ) -> str:
        """Return what the tokens of the query attend to, by one operator."""
        inputs = [*projected, "", key_mask, *([bias] if bias else [])]
        scaled: dict[str, Any] = {} if scale is None else {"scale": scale}
        return self.node("MultiHeadAttention", inputs, domain=CONTRIB, num_heads=heads, **scaled)

    def turned(self, states: str, heads: int, tables: tuple[str, str], length: str) -> str:
        """Return states of which each head is turned by its place, by one operator."""
        # It counts places from the one that it is given.
        inputs = [states, self.integers(0), *map(self.weight, tables)]
        return self.node("RotaryEmbedding", inputs, domain=CONTRIB)

    def gelu(self, x: str) -> str:
        """Return the GELU of x, by one operator."""
        return self.node("Gelu", [x], domain=CONTRIB)

    def gelu_tanh(self, x: str) -> str:
        """Return the GELU of x by tanh, by one operator."""
        return self.node("FastGelu", [x], domain=CONTRIB)
