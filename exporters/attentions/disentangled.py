"""DeBERTa's attention: scores by what tokens are and by how far apart they are (positions.py has the formula)."""

import math

from edgebert.exporters.attentions.distances import Distances
from edgebert.exporters.attentions.plain import Attention
from edgebert.exporters.family import Disentangled
from edgebert.exporters.nodes import Nodes


class DisentangledAttention(Attention):
    """A key and a query of a distance stand in one row of a table, and a row may serve several distances."""

    def __init__(self, nodes: Nodes, disentangled: Disentangled):
        super().__init__(nodes)
        self._terms = disentangled.terms
        self._scale = 1 / math.sqrt(nodes.head_size * (1 + len(self._terms)))
        self._distances = Distances(nodes)
        # The rows of the distances that the tokens of texts of this length have, the same in all layers.
        self._rows = {
            term: self._distances.of_length(nodes.weight(f"rows.{term}"), 0, nodes.shape(f"rows.{term}")[0] // 2)
            for term in self._terms
        }

    def of_all(self, states: str, layer: int, heads: int) -> str:
        """Return what every token attends to."""
        nodes, scores = self._nodes, []
        query, key, value = nodes.projected(states, layer, "qkv", heads)
        if "c2p" in self._terms:
            scores.append(self._by_place(query, "c2p", layer, heads))
        if "p2c" in self._terms:
            # Of each key, what it gives to the queries.
            scores.append(nodes.node("Transpose", [self._by_place(key, "p2c", layer, heads)], perm=[0, 1, 3, 2]))
        return self._attend([query, key, value], heads, scores)

    def of_one(self, token: str, states: str, layer: int, heads: int) -> str:
        """Return what [CLS] attends to."""
        nodes, scores = self._nodes, []
        query, key, value = self._projected(token, states, layer, heads)
        if "c2p" in self._terms:
            keys = self._vectors("c2p", self._distances.from_first(self._rows["c2p"], 0), layer, heads)
            scores.append(self._product(query, keys, heads))
        if "p2c" in self._terms:
            # Each key has one query, that of its distance to [CLS].
            queries = self._vectors("p2c", self._distances.to_first(self._rows["p2c"]), layer, heads)
            products = nodes.node("Mul", [nodes.by_head(key, heads), queries])
            sums = nodes.node("ReduceSum", [products, nodes.integers(3)], keepdims=0)  # (batch, heads, length)
            scores.append(nodes.node("Unsqueeze", [sums, nodes.integers(2)]))
        return self._attend([query, key, value], heads, scores)

    def _by_place(self, states: str, term: str, layer: int, heads: int) -> str:
        vectors = self._vectors(term, self._rows[term], layer, heads)
        return self._distances.by_place(self._product(states, vectors, heads))

    def _vectors(self, term: str, rows: str, layer: int, heads: int) -> str:
        """Return the keys or queries (heads, rows, head size) that stand in some rows."""
        return self._nodes.node("Gather", [self._nodes.weight(f"{layer}.r.{term}", heads), rows], axis=1)

    def _product(self, states: str, vectors: str, heads: int) -> str:
        """Return the products (batch, heads, tokens, rows) of states (batch, tokens, size) with vectors."""
        nodes = self._nodes
        turned = nodes.node("Transpose", [vectors], perm=[0, 2, 1])
        return nodes.node("MatMul", [nodes.by_head(states, heads), turned])

    def _attend(self, projected: list[str], heads: int, scores: list[str]) -> str:
        bias = scores[0] if len(scores) == 1 else self._nodes.node("Add", scores)
        return self._nodes.attention(projected, heads, self._key_mask, bias, self._scale)
