"""MPNet's attention: a head adds to the score of two tokens what stands in one table for their distance."""

from edgebert.exporters.attentions.distances import Distances
from edgebert.exporters.attentions.plain import Attention
from edgebert.exporters.nodes import Nodes


class BiasedAttention(Attention):
    """The biases of all layers are the same: they are computed once in a graph, for each number of heads."""

    def __init__(self, nodes: Nodes):
        super().__init__(nodes)
        self._distances = Distances(nodes)
        self._of_length: dict[int, str] = {}  # by heads: (1, heads, 1, 2 * length)
        self._by_place: dict[int, str] = {}  # by heads: (1, heads, length, length)

    def of_all(self, states: str, layer: int, heads: int) -> str:
        """Return what every token attends to."""
        nodes = self._nodes
        if heads not in self._by_place:
            rows = nodes.node("Concat", [nodes.integers(1, 1), self._distances.length, nodes.integers(1)], axis=0)
            self._by_place[heads] = self._distances.by_place(nodes.node("Expand", [self._biases(heads), rows]))
        projected = nodes.projected(states, layer, "qkv", heads)
        return nodes.attention(projected, heads, self._key_mask, self._by_place[heads])

    def of_one(self, token: str, states: str, layer: int, heads: int) -> str:
        """Return what [CLS] attends to."""
        projected = self._projected(token, states, layer, heads)
        bias = self._distances.from_first(self._biases(heads), 3)
        return self._nodes.attention(projected, heads, self._key_mask, bias)

    def _biases(self, heads: int) -> str:
        if heads not in self._of_length:
            nodes, name = self._nodes, "distance_bias"
            biases = self._distances.of_length(nodes.weight(name, heads), 2, nodes.shape(name)[2] // 2)
            self._of_length[heads] = nodes.node("Unsqueeze", [biases, nodes.integers(0)])
        return self._of_length[heads]
