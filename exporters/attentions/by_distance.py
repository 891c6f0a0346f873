"""XLNet's attention: by the distance of tokens and by whether their types differ (positions.py has the formula)."""

from collections.abc import Sequence

from onnx import TensorProto

from edgebert.exporters.attentions.distances import Distances
from edgebert.exporters.attentions.plain import Attention
from edgebert.exporters.family import Sizes
from edgebert.exporters.nodes import Nodes
from edgebert.inputs.manifest import GraphInput


class AttentionByDistance(Attention):
    """Its head reads the last token of a text, <cls>; padding may stand on either side."""

    def __init__(self, nodes: Nodes, sizes: Sizes, inputs: Sequence[GraphInput]):
        super().__init__(nodes)
        self._distances = Distances(nodes)
        self._length = self._distances.length
        self._places = self._distances.places()
        # The place (batch, 1) of the last token that is no padding. Axes are an input only from opset 18 on.
        self._last = nodes.node("ReduceMax", [nodes.node("Mul", ["attention_mask", self._places])], axes=[1])

        self._types: str | None = None  # (batch, length); none where all are equal
        if "token_type_ids" in inputs:
            self._types = "token_type_ids"
        elif sizes.types > 1:  # in single texts <cls> alone is of another type
            self._types = nodes.node("Cast", [nodes.node("Equal", [self._places, self._last])], to=TensorProto.INT64)
        # Once: it is the same in all layers whose tokens are all computed.
        self._differing = self._types and self._differ(self._types, self._types)

    def one(self, states: str) -> str:
        """Return the states of <cls>, (batch, 1, hidden)."""
        nodes = self._nodes
        # It stands at another place in each text, so a Slice will not do.
        return nodes.node("Unsqueeze", [nodes.node("GatherND", [states, self._last], batch_dims=1), nodes.integers(1)])

    def of_all(self, states: str, layer: int, heads: int) -> str:
        """Return what every token attends to."""
        projected = self._nodes.projected(states, layer, "qkv", heads)
        query = self._query(projected[0], layer, heads)
        by_place = self._distances.by_place(self._by_distance(query, layer, heads))
        return self._attend(projected, layer, heads, self._by_types(by_place, query, layer, heads, self._differing))

    def of_one(self, token: str, states: str, layer: int, heads: int) -> str:
        """Return what <cls> attends to."""
        projected, differing = self._projected(token, states, layer, heads), None
        if self._types:
            of_cls = self._nodes.node("GatherElements", [self._types, self._last], axis=1)
            differing = self._differ(of_cls, self._types)
        query = self._query(projected[0], layer, heads)
        by_place = self._by_place_of_cls(self._by_distance(query, layer, heads), heads)
        return self._attend(projected, layer, heads, self._by_types(by_place, query, layer, heads, differing))

    def _differ(self, types: str, all_types: str) -> str:
        """Return 1 (batch, 1, tokens, length) where the types (batch, tokens) of some tokens are not those of all."""
        nodes = self._nodes
        columns, rows = (nodes.node("Unsqueeze", [x, nodes.integers(n)]) for x, n in ((types, 2), (all_types, 1)))
        differing = nodes.node("Not", [nodes.node("Equal", [columns, rows])])
        return nodes.node("Unsqueeze", [nodes.floating(differing), nodes.integers(1)])

    def _query(self, query: str, layer: int, heads: int) -> str:
        """Return what asks for positions and types (batch, heads, tokens, head size), of a query (batch, tokens,
        size)."""
        nodes = self._nodes
        bias = nodes.weight(f"{layer}.r.position_bias", heads * nodes.head_size)
        return nodes.by_head(nodes.node("Add", [query, bias]), heads)

    def _by_distance(self, query: str, layer: int, heads: int) -> str:
        """Return the scores (batch, heads, tokens, 2 * length) that a query gives to distances."""
        nodes, name = self._nodes, f"{layer}.r.keys"
        keys = self._distances.of_length(nodes.weight(name, heads), 2, nodes.shape(name)[2] // 2)
        return nodes.node("MatMul", [query, keys])

    def _by_types(self, scores: str, query: str, layer: int, heads: int, differing: str | None) -> str:
        """Return scores of all places with what differing types change of them."""
        if differing is None:
            return scores
        nodes, name = self._nodes, f"{layer}.r.segment"
        change = nodes.node("MatMul", [query, nodes.weight(name, heads)])
        change = nodes.node("Add", [change, nodes.weight(f"{name}_offset", heads)])
        return nodes.node("Add", [scores, nodes.node("Mul", [change, differing])])

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
