"""The portable flavor: standard ONNX operators only, in the forms that providers know how to fuse."""

import math
from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from edgebert.exporters.nodes import Matrix, Nodes

_MASKED = -1e9  # added to the score of a token that is padding: its share becomes exactly 0


def mask(nodes: Nodes) -> str:
    """Return the mask in the form that `attention` takes: what is added to scores (batch, 1, 1, length)."""
    ones = nodes.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    padding = nodes.node("Sub", [nodes.number(1), nodes.node("Unsqueeze", [ones, nodes.integers(1, 2)])])
    return nodes.node("Mul", [padding, nodes.number(_MASKED)])


def linear(nodes: Nodes, states: str, matrix: Matrix) -> str:
    """Return states (..., inputs) times a matrix (inputs, outputs), and its bias."""
    if nodes.precision == "int8":
        levels = nodes.node("DynamicQuantizeLinear", [states], outputs=3)
        sums = nodes.node("MatMulInteger", [levels, matrix.weight, f"{levels}.2"])
        scale = nodes.node("Mul", [f"{levels}.1", matrix.scale])
        product = nodes.node("Mul", [nodes.node("Cast", [sums], to=TensorProto.FLOAT), scale])
        return _plus(nodes, product, matrix.bias)
    if matrix.range is not None:
        step = [nodes.number(float(matrix.range.scale)), nodes.constant(np.array(matrix.range.zero_point, np.uint8))]
        states = nodes.node("DequantizeLinear", [nodes.node("QuantizeLinear", [states, *step]), *step])
    weight = matrix.weight
    if nodes.precision != "fp32":
        weight = nodes.node("DequantizeLinear", [weight, matrix.scale], axis=1)
    return _plus(nodes, nodes.node("MatMul", [states, weight]), matrix.bias)


def self_attention(nodes: Nodes, states: str, layer: int, heads: int, size: int, key_mask: str) -> str:
    """Return what every token attends to, (batch, length, size), with the first `heads` heads of `size` in all."""
    triple = linear(nodes, states, nodes.matrix([f"{layer}.{unit}" for unit in "qkv"], outputs=size))
    return attention(nodes, nodes.split(triple, size, 3), heads, size, key_mask)


def attention(
    nodes: Nodes, projected: Sequence[str], heads: int, size: int, key_mask: str, bias: str | None = None
) -> str:
    """Return what the tokens of the query attend to among those of key and value, (batch, tokens, size).

    A bias (batch, heads, tokens, length) is added to the scores after they are divided by the root of the head size.
    """
    form = nodes.integers(0, 0, heads, size // heads)
    query, key, value = (nodes.node("Reshape", [one, form]) for one in projected)
    query = nodes.node("Transpose", [query], perm=[0, 2, 1, 3])
    key = nodes.node("Transpose", [key], perm=[0, 2, 3, 1])
    value = nodes.node("Transpose", [value], perm=[0, 2, 1, 3])
    scores = nodes.node("Mul", [nodes.node("MatMul", [query, key]), nodes.number(1 / math.sqrt(size // heads))])
    scores = _plus(nodes, scores, bias)
    shares = nodes.node("Softmax", [nodes.node("Add", [scores, key_mask])], axis=-1)
    heads_out = nodes.node("Transpose", [nodes.node("MatMul", [shares, value])], perm=[0, 2, 1, 3])
    return nodes.node("Reshape", [heads_out, nodes.integers(0, 0, size)])


def gelu(nodes: Nodes, x: str) -> str:
    """Return x times the normal distribution function of x."""
    erf = nodes.node("Erf", [nodes.node("Div", [x, nodes.number(math.sqrt(2))])])
    return nodes.node("Mul", [nodes.node("Mul", [x, nodes.node("Add", [erf, nodes.number(1)])]), nodes.number(0.5)])


def _plus(nodes: Nodes, x: str, bias: str | None) -> str:
    return nodes.node("Add", [x, bias]) if bias else x
