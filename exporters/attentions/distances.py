"""How values that belong to distances become values of two places each, with few operators."""

import numpy as np

from edgebert.exporters.nodes import Nodes

# ONNX's Slice takes the largest number for the end.
_LAST = np.iinfo(np.int64).max


class Distances:
    """Writes what depends on how far apart the tokens of a text are.

    A token at place i and one at place j are i - j apart. What is by distance goes from the length of the longest text
    down to 1 less than its negative.
    """

    def __init__(self, nodes: Nodes):
        self._nodes = nodes
        self.length = nodes.node("Shape", ["attention_mask"], start=1, end=2)

    def places(self) -> str:
        """Return the numbers of the places, (length,)."""
        # Range takes scalars, where `integers` makes vectors.
        zero, one = (self._nodes.constant(np.array(number)) for number in (0, 1))
        return self._nodes.node("Range", [zero, self._nodes.node("Squeeze", [self.length]), one])

    def of_length(self, tensor: str, axis: int, most: int) -> str:
        """Return, of a tensor with the distances of texts of `most` tokens, those of texts of this length: from it down
        to 1 less than its negative."""
        nodes, most_name = self._nodes, self._nodes.integers(most)
        start, end = (nodes.node(op, [most_name, self.length]) for op in ("Sub", "Add"))
        return nodes.node("Slice", [tensor, start, end, nodes.integers(axis)])

    def by_place(self, scores: str) -> str:
        """Return, of scores (batch, heads, length, 2 * length) by distance, those of every place, (batch, heads,
        length, length).

        Row i needs its columns from length - i on. Without the first `length` values of all, rows of one column less
        start where they should (Dai et al. 2019).
        """
        nodes, length = self._nodes, self.length
        turned = nodes.node("Concat", [nodes.integers(0, 0, -1), length], axis=0)
        rows = nodes.node("Reshape", [scores, turned])  # (batch, heads, 2 * length, length)
        rows = nodes.node("Slice", [rows, nodes.integers(1), nodes.integers(_LAST), nodes.integers(2)])
        shifted = nodes.node("Concat", [nodes.integers(0, 0), length, nodes.integers(-1)], axis=0)
        rows = nodes.node("Reshape", [rows, shifted])  # (batch, heads, length, 2 * length - 1)
        return nodes.node("Slice", [rows, nodes.integers(0), length, nodes.integers(3)])

    def from_first(self, scores: str, axis: int) -> str:
        """Return, of values by distance, those of the first token to every place."""
        nodes = self._nodes
        return nodes.node("Slice", [scores, self.length, nodes.integers(_LAST), nodes.integers(axis)])

    def to_first(self, vector: str) -> str:
        """Return, of a vector by distance, the values of every place to the first token."""
        nodes = self._nodes
        return nodes.node("Slice", [vector, self.length, nodes.integers(0), nodes.integers(0), nodes.integers(-1)])
