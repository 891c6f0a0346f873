"""Attention of each layer: of networks whose embeddings say where a token stands, and XLNet's by distance.

Of the last layer only the token that the head reads is computed, where it reads no other.
"""

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from edgebert.exporters.family import Sizes
from edgebert.exporters.nodes import Nodes
from edgebert.inputs.manifest import GraphInput


class Attention:
    """Writes the attention of each layer, of all tokens or of [CLS], the first one, alone."""

    def __init__(self, nodes: Nodes):
        self._nodes, self._key_mask = nodes, nodes.mask()

    def of_all(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return the tokens that go on, all of them, and what each attends to."""
        return states, self._nodes.self_attention(states, layer, heads, self._key_mask)

    def of_one(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return [CLS] (batch, 1, hidden) and what it attends to."""
        nodes = self._nodes
        cls = nodes.node("Slice", [states, nodes.integers(0), nodes.integers(1), nodes.integers(1)])
        projected = [*nodes.projected(cls, layer, "q", heads), *nodes.projected(states, layer, "kv", heads)]
        return cls, nodes.attention(projected, heads, self._key_mask)


class RelativeAttention(Attention):
    """XLNet's, by the distance of tokens and by whether their types differ (distances.py has the formula).

    Its head reads the last token of a text, <cls>; padding may stand on either side.
    """

    def __init__(self, nodes: Nodes, sizes: Sizes, inputs: Sequence[GraphInput]):
        super().__init__(nodes)
        self._length = nodes.node("Shape", ["attention_mask"], start=1, end=2)
        # Range takes scalars, where `integers` makes vectors.
        zero, one = (nodes.constant(np.array(number)) for number in (0, 1))
        self._places = nodes.node("Range", [zero, nodes.node("Squeeze", [self._length]), one])  # (length,)
        # The place (batch, 1) of the last token that is no padding. Axes are an input only from opset 18 on.
        self._last = nodes.node("ReduceMax", [nodes.node("Mul", ["attention_mask", self._places])], axes=[1])

        self._types: str | None = None  # (batch, length); none where all are equal
        if "token_type_ids" in inputs:
            self._types = "token_type_ids"
        elif sizes.types > 1:  # in single texts <cls> alone is of another type
            self._types = nodes.node("Cast", [nodes.node("Equal", [self._places, self._last])], to=TensorProto.INT64)
        # Once: it is the same in all layers whose tokens are all computed.
        self._differing = self._types and self._differ(self._types, self._types)

    def of_all(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return the tokens that go on, all of them, and what each attends to."""
        projected = self._nodes.projected(states, layer, "qkv", heads)
        bias = self._bias(projected[0], layer, heads, self._by_place, self._differing)
        return states, self._attend(projected, layer, heads, bias)

    def of_one(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return <cls> (batch, 1, hidden) and what it attends to."""
        nodes = self._nodes
        # It stands at another place in each text, so a Slice will not do.
        cls = nodes.node("Unsqueeze", [nodes.node("GatherND", [states, self._last], batch_dims=1), nodes.integers(1)])
        projected = [*nodes.projected(cls, layer, "q", heads), *nodes.projected(states, layer, "kv", heads)]

        differing = None
        if self._types:
            differing = self._differ(nodes.node("GatherElements", [self._types, self._last], axis=1), self._types)
        bias = self._bias(projected[0], layer, heads, self._by_place_of_cls, differing)
        return cls, self._attend(projected, layer, heads, bias)

    def _differ(self, types: str, all_types: str) -> str:
        """Return 1 (batch, 1, tokens, length) where the types (batch, tokens) of some tokens are not those of all."""
        nodes = self._nodes
        columns, rows = (nodes.node("Unsqueeze", [x, nodes.integers(n)]) for x, n in ((types, 2), (all_types, 1)))
        differing = nodes.node("Not", [nodes.node("Equal", [columns, rows])])
        return nodes.node("Unsqueeze", [nodes.node("Cast", [differing], to=TensorProto.FLOAT), nodes.integers(1)])

    def _bias(
        self, query: str, layer: int, heads: int, by_place: Callable[[str, int], str], differing: str | None
    ) -> str:
        """Return what distances and differing types add to the scores (batch, heads, tokens, length) of a query (batch,
        tokens, size)."""
        nodes, name = self._nodes, f"{layer}.r"
        query = nodes.node("Add", [query, nodes.weight(f"{name}.position_bias", heads * nodes.head_size)])
        query = nodes.node("Reshape", [query, nodes.integers(0, 0, heads, nodes.head_size)])
        query = nodes.node("Transpose", [query], perm=[0, 2, 1, 3])
        keys = nodes.weight(f"{name}.keys", heads)  # of distances from the greatest length down
        # Of the distances, those that texts of this length have.
        most = nodes.integers(nodes.shape(keys)[2] // 2)
        start, end = (nodes.node(op, [most, self._length]) for op in ("Sub", "Add"))
        keys = nodes.node("Slice", [keys, start, end, nodes.integers(2)])
        bias = by_place(nodes.node("MatMul", [query, keys]), heads)
        if differing is None:
            return bias
        change = nodes.node("MatMul", [query, nodes.weight(f"{name}.segment", heads)])
        change = nodes.node("Add", [change, nodes.weight(f"{name}.segment_offset", heads)])
        return nodes.node("Add", [bias, nodes.node("Mul", [change, differing])])

    def _by_place(self, scores: str, _: int) -> str:
        """Return, of scores (batch, heads, length, 2 * length) by distance from length down to 1 - length, those of
        every place, (batch, heads, length, length).

        Row i needs its columns from length - i on. Without the first `length` values of all, rows of one column less
        start where they should (Dai et al. 2019).
        """
        nodes, width = self._nodes, self._length
        # ONNX's Slice takes the largest number for the end.
        last = nodes.integers(np.iinfo(np.int64).max)
        turned = nodes.node("Concat", [nodes.integers(0, 0, -1), width], axis=0)
        rows = nodes.node("Reshape", [scores, turned])  # (batch, heads, 2 * length, length)
        rows = nodes.node("Slice", [rows, nodes.integers(1), last, nodes.integers(2)])
        shifted = nodes.node("Concat", [nodes.integers(0, 0), width, nodes.integers(-1)], axis=0)
        rows = nodes.node("Reshape", [rows, shifted])  # (batch, heads, length, 2 * length - 1)
        return nodes.node("Slice", [rows, nodes.integers(0), width, nodes.integers(3)])

    def _by_place_of_cls(self, scores: str, heads: int) -> str:
        """Return, of the scores (batch, heads, 1, 2 * length) by distance from <cls>, those of every place."""
        nodes = self._nodes
        columns = nodes.node("Add", [nodes.node("Sub", [self._length, self._last]), self._places])  # (batch, length)
        columns = nodes.node("Unsqueeze", [columns, nodes.integers(1, 2)])
        columns = nodes.node("Expand", [columns, nodes.integers(1, heads, 1, 1)])
        return nodes.node("GatherElements", [scores, columns], axis=3)

    def _attend(self, projected: Sequence[str], layer: int, heads: int, bias: str) -> str:
        nodes, name = self._nodes, f"{layer}.r.content_bias"
        query = nodes.node("Add", [projected[0], nodes.weight(name, heads * nodes.head_size)])
        return nodes.attention([query, *projected[1:]], heads, self._key_mask, bias)
