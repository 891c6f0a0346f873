"""XLNet's attention: by the distance of tokens and by whether their segments differ (distances.py has the formula).

Its classifier reads the last token of a text, <cls>; padding may stand on either side. Both flavors write the same
operators here, standard ones, around a product and an attention of their own.
"""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from onnx import TensorProto

from edgebert.bundle import GraphInput
from edgebert.exporters.nodes import Nodes


class RelativeAttention:
    """Writes the attention of each layer, of all tokens or of <cls> alone."""

    def __init__(self, nodes: Nodes, operators: ModuleType, head_size: int, inputs: Sequence[GraphInput]):
        self._nodes, self._operators, self._head_size = nodes, operators, head_size
        self._key_mask = operators.mask(nodes)
        self._length = nodes.node("Shape", ["attention_mask"], start=1, end=2)
        zero, one = (nodes.constant(np.array(number)) for number in (0, 1))
        self._places = nodes.node("Range", [zero, nodes.node("Squeeze", [self._length]), one])  # (length,)
        # The place (batch, 1) of the last token that is no padding.
        self._last = nodes.node("ReduceMax", [nodes.node("Mul", ["attention_mask", self._places])], axes=[1])
        self._types = "token_type_ids"
        if "token_type_ids" not in inputs:  # in single texts <cls> alone is of a type of its own
            self._types = nodes.node("Cast", [nodes.node("Equal", [self._places, self._last])], to=TensorProto.INT64)
        self._differing = self._differ(nodes.node("Unsqueeze", [self._types, nodes.integers(2)]))
        self._turned = nodes.node("Concat", [nodes.integers(0, 0, -1), self._length], axis=0)
        self._shifted = nodes.node("Concat", [nodes.integers(0, 0), self._length, nodes.integers(-1)], axis=0)

    def of_all(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return the tokens that go on, all of them, and what each attends to."""
        nodes, size = self._nodes, heads * self._head_size
        units = nodes.matrix([f"{layer}.{unit}" for unit in "qkv"], outputs=size)
        triple = self._operators.linear(nodes, states, units)
        query = nodes.node("Split", [triple, nodes.integers(size, size, size)], outputs=3, axis=2)
        position, segment = self._scores(query, layer, heads)
        bias = nodes.node("Add", [self._by_place(position), nodes.node("Mul", [segment, self._differing])])
        return states, self._attend(query, f"{query}.1", f"{query}.2", layer, heads, bias)

    def of_one(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return <cls> (batch, 1, hidden) and what it attends to."""
        nodes, size = self._nodes, heads * self._head_size
        cls = nodes.node("GatherND", [states, self._last], batch_dims=1)
        cls = nodes.node("Unsqueeze", [cls, nodes.integers(1)])
        query = self._operators.linear(nodes, cls, nodes.matrix([f"{layer}.q"], outputs=size))
        pair = self._operators.linear(nodes, states, nodes.matrix([f"{layer}.k", f"{layer}.v"], outputs=size))
        key = nodes.node("Split", [pair, nodes.integers(size, size)], outputs=2, axis=2)
        position, segment = self._scores(query, layer, heads)
        type_of_cls = nodes.node("GatherElements", [self._types, self._last], axis=1)
        differing = self._differ(nodes.node("Unsqueeze", [type_of_cls, nodes.integers(2)]))
        bias = nodes.node("Add", [self._from_last(position, heads), nodes.node("Mul", [segment, differing])])
        return cls, self._attend(query, key, f"{key}.1", layer, heads, bias)

    def _differ(self, types: str) -> str:
        """Return 1 (batch, 1, tokens, length) where the types (batch, tokens, 1) of tokens are not those of others."""
        nodes = self._nodes
        equal = nodes.node("Equal", [types, nodes.node("Unsqueeze", [self._types, nodes.integers(1)])])
        differing = nodes.node("Cast", [nodes.node("Not", [equal])], to=TensorProto.FLOAT)
        return nodes.node("Unsqueeze", [differing, nodes.integers(1)])

    def _scores(self, query: str, layer: int, heads: int) -> tuple[str, str]:
        """Return what a query (batch, tokens, size) gives to each distance from length down to 1 - length, (batch,
        heads, tokens, 2 * length), and to a differing segment, (batch, heads, tokens, 1)."""
        nodes, name = self._nodes, f"{layer}.r"
        query = nodes.node("Add", [query, nodes.weight(f"{name}.position_bias", heads * self._head_size)])
        query = nodes.node("Reshape", [query, nodes.integers(0, 0, heads, self._head_size)])
        query = nodes.node("Transpose", [query], perm=[0, 2, 1, 3])
        keys = nodes.weight(f"{name}.keys", heads)
        middle = nodes.integers(nodes.shape(keys)[2] // 2)
        start, end = (nodes.node(op, [middle, self._length]) for op in ("Sub", "Add"))
        keys = nodes.node("Slice", [keys, start, end, nodes.integers(2)])
        segment = nodes.node("MatMul", [query, nodes.weight(f"{name}.segment", heads)])
        segment = nodes.node("Add", [segment, nodes.weight(f"{name}.segment_offset", heads)])
        return nodes.node("MatMul", [query, keys]), segment

    def _by_place(self, scores: str) -> str:
        """Return, of scores (batch, heads, length, 2 * length) by distance, those of each place, (batch, heads, length,
        length).

        Row i needs the columns from length - i on. Read as one long row without its first `length` values, and cut
        into rows of 2 * length - 1, each row starts one column earlier than the one before (Dai et al. 2019).
        """
        nodes, one = self._nodes, self._nodes.integers(1)
        most = nodes.integers(np.iinfo(np.int64).max)
        rows = nodes.node("Reshape", [scores, self._turned])  # (batch, heads, 2 * length, length)
        rows = nodes.node("Slice", [rows, one, most, nodes.integers(2)])
        rows = nodes.node("Reshape", [rows, self._shifted])  # (batch, heads, length, 2 * length - 1)
        return nodes.node("Slice", [rows, nodes.integers(0), self._length, nodes.integers(3)])

    def _from_last(self, scores: str, heads: int) -> str:
        """Return, of scores (batch, heads, 1, 2 * length) by distance from <cls>, those of each place."""
        nodes = self._nodes
        columns = nodes.node("Add", [nodes.node("Sub", [self._length, self._last]), self._places])  # (batch, length)
        columns = nodes.node("Unsqueeze", [columns, nodes.integers(1, 2)])
        columns = nodes.node("Expand", [columns, nodes.integers(1, heads, 1, 1)])
        return nodes.node("GatherElements", [scores, columns], axis=3)

    def _attend(self, query: str, key: str, value: str, layer: int, heads: int, bias: str) -> str:
        nodes, size = self._nodes, heads * self._head_size
        query = nodes.node("Add", [query, nodes.weight(f"{layer}.r.content_bias", size)])
        return self._operators.attention(nodes, query, key, value, heads, size, self._key_mask, bias)
