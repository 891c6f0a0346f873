"""The fused flavor: operators of ONNX Runtime's own, which are the fastest on its CPU provider.

Attention takes the mask as it comes, (batch, length) int32. Sums are `Sum`, not `Add`: ONNX Runtime would turn an Add
before a LayerNormalization into its SkipLayerNormalization, which takes 4 to 9 times as long as the two.
"""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from edgebert.exporters.nodes import CONTRIB, Matrix, Nodes


def mask(nodes: Nodes) -> str:
    """Return the mask in the form that `attention` takes."""
    return nodes.node("Cast", ["attention_mask"], to=TensorProto.INT32)


def linear(nodes: Nodes, states: str, matrix: Matrix) -> str:
    """Return states (..., inputs) times a matrix (inputs, outputs), and its bias."""
    if nodes.precision == "int8":
        inputs = [states, matrix.weight, matrix.scale, "", matrix.bias]
        return nodes.node("DynamicQuantizeMatMul", inputs, domain=CONTRIB)
    if nodes.precision == "int8-static":
        levels, scale, zero = _levels(nodes, states, matrix)
        inputs = [levels, matrix.weight, scale, matrix.scale, zero, "", matrix.bias]
        return nodes.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)
    weight = matrix.weight
    if nodes.precision == "int8-weights":  # all constant: done once, when the graph is loaded
        weight = nodes.node("Mul", [nodes.node("Cast", [weight], to=TensorProto.FLOAT), matrix.scale])
    product = nodes.node("MatMul", [states, weight])
    return nodes.node("Add", [product, matrix.bias]) if matrix.bias else product


def self_attention(nodes: Nodes, states: str, layer: int, heads: int, size: int, key_mask: str) -> str:
    """Return what every token attends to, (batch, length, size), with the first `heads` heads of `size` in all."""
    matrix = nodes.matrix([f"{layer}.{unit}" for unit in "qkv"], outputs=size)
    if nodes.precision in ("int8", "int8-static"):
        levels, scale, zero = _levels(nodes, states, matrix)
        inputs = [levels, matrix.weight, matrix.bias, scale, matrix.scale, key_mask, zero]
        return nodes.node("QAttention", inputs, domain=CONTRIB, num_heads=heads)
    triple = linear(nodes, states, matrix)
    return attention(nodes, nodes.split(triple, size, 3), heads, size, key_mask)


def attention(
    nodes: Nodes, projected: Sequence[str], heads: int, size: int, key_mask: str, bias: str | None = None
) -> str:
    """Return what the tokens of the query attend to among those of key and value, (batch, tokens, size).

    A bias (batch, heads, tokens, length) is added to the scores after they are divided by the root of the head size.
    """
    inputs = [*projected, "", key_mask, *([bias] if bias else [])]
    return nodes.node("MultiHeadAttention", inputs, domain=CONTRIB, num_heads=heads)


def gelu(nodes: Nodes, x: str) -> str:
    """Return x times the normal distribution function of x."""
    return nodes.node("Gelu", [x], domain=CONTRIB)


def _levels(nodes: Nodes, states: str, matrix: Matrix) -> tuple[str, str, str]:
    """Return states as uint8 levels, their scale and their zero point."""
    if matrix.range is None:
        levels = nodes.node("DynamicQuantizeLinear", [states], outputs=3)
        return levels, f"{levels}.1", f"{levels}.2"
    scale, zero = nodes.number(float(matrix.range.scale)), nodes.constant(np.array(matrix.range.zero_point, np.uint8))
    return nodes.node("QuantizeLinear", [states, scale, zero]), scale, zero
