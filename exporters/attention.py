"""Attention of networks whose embeddings say where a token stands: every family's but XLNet's (relative.py)."""

from collections.abc import Sequence
from typing import Protocol

from edgebert.exporters.checkpoint import Sizes
from edgebert.exporters.nodes import Matrix, Nodes


class Operators(Protocol):
    """What a flavor writes in a way of its own; fused.py and portable.py are two of it."""

    def mask(self, nodes: Nodes) -> str:
        """Return the mask in the form that `attention` takes."""

    def linear(self, nodes: Nodes, states: str, matrix: Matrix) -> str:
        """Return states (..., inputs) times a matrix (inputs, outputs), and its bias."""

    def self_attention(self, nodes: Nodes, states: str, layer: int, heads: int, size: int, key_mask: str) -> str:
        """Return what every token attends to, (batch, length, size)."""

    def attention(
        self, nodes: Nodes, projected: Sequence[str], heads: int, size: int, key_mask: str, bias: str | None = None
    ) -> str:
        """Return what the tokens of the query attend to among those of key and value, (batch, tokens, size).

        `projected` are the names of the query (batch, tokens, size), the key and the value (batch, length, size).
        """

    def gelu(self, nodes: Nodes, x: str) -> str:
        """Return x times the normal distribution function of x."""


class Attention:
    """Writes the attention of each layer, of all tokens or of [CLS] alone."""

    def __init__(self, nodes: Nodes, operators: Operators, sizes: Sizes):
        self._nodes, self._operators, self._head_size = nodes, operators, sizes.head_size
        self._key_mask = operators.mask(nodes)

    def of_all(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return the tokens that go on, all of them, and what each attends to."""
        size = heads * self._head_size
        return states, self._operators.self_attention(self._nodes, states, layer, heads, size, self._key_mask)

    def of_one(self, states: str, layer: int, heads: int) -> tuple[str, str]:
        """Return [CLS] (batch, 1, hidden) and what it attends to."""
        nodes, size = self._nodes, heads * self._head_size
        cls = nodes.node("Slice", [states, nodes.integers(0), nodes.integers(1), nodes.integers(1)])
        query = self._operators.linear(nodes, cls, nodes.matrix([f"{layer}.q"], outputs=size))
        pair = self._operators.linear(nodes, states, nodes.matrix([f"{layer}.k", f"{layer}.v"], outputs=size))
        projected = [query, *nodes.split(pair, size, 2)]
        return cls, self._operators.attention(nodes, projected, heads, size, self._key_mask)
