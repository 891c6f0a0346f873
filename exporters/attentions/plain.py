"""Attention of networks whose embeddings say where a token stands."""

from edgebert.exporters.nodes import Nodes


class Attention:
    """Writes the attention of each layer: of all tokens, or of [CLS], the first one, alone."""

    def __init__(self, nodes: Nodes):
        self._nodes, self._key_mask = nodes, nodes.mask()

    def one(self, states: str) -> str:
        """Return, of all states, those of the token that the head of a text reads, (batch, 1, hidden)."""
        nodes = self._nodes
        return nodes.node("Slice", [states, nodes.integers(0), nodes.integers(1), nodes.integers(1)])

    def of_all(self, states: str, layer: int, heads: int) -> str:
        """Return what every token attends to, (batch, length, size)."""
        return self._nodes.self_attention(states, layer, heads, self._key_mask)

    def of_one(self, token: str, states: str, layer: int, heads: int) -> str:
        """Return what that one token attends to, (batch, 1, size)."""
        return self._nodes.attention(self._projected(token, states, layer, heads), heads, self._key_mask)

    def _projected(self, token: str, states: str, layer: int, heads: int) -> list[str]:
        """Return the query of one token, and the keys and values of all."""
        nodes = self._nodes
        return [*nodes.projected(token, layer, "q", heads), *nodes.projected(states, layer, "kv", heads)]
