"""ModernBERT's attention: queries and keys are turned by their places, and in most layers far tokens are not seen."""

import numpy as np

from edgebert.exporters.attentions.distances import Distances
from edgebert.exporters.attentions.plain import Attention
from edgebert.exporters.family import Rotary
from edgebert.exporters.nodes import Nodes


class RotaryAttention(Attention):
    """`rotary` has the settings of the checkpoint's layers, whose numbers are `layers`."""

    def __init__(self, nodes: Nodes, rotary: Rotary, layers: tuple[int, ...]):
        super().__init__(nodes)
        self._thetas = dict(zip(layers, rotary.thetas, strict=True))
        self._windows = dict(zip(layers, rotary.windows, strict=True))
        self._distances = Distances(nodes)
        self._unseen: dict[int, str] = {}  # by how far tokens see: (1, 1, length, length)

    def of_all(self, states: str, layer: int, heads: int) -> str:
        """Return what every token attends to."""
        nodes, window = self._nodes, self._windows[layer]
        query, key, value = nodes.projected(states, layer, "qkv", heads)
        if window is not None and window not in self._unseen:
            places = self._distances.places()
            apart = nodes.node("Sub", [nodes.node("Unsqueeze", [places, nodes.integers(1)]), places])
            self._unseen[window] = self._beyond(nodes.node("Abs", [apart]), window)
        turned = [self._turned(query, layer, heads), self._turned(key, layer, heads)]
        bias = None if window is None else self._unseen[window]
        return nodes.attention([*turned, value], heads, self._key_mask, bias)

    def of_one(self, token: str, states: str, layer: int, heads: int) -> str:
        """Return what [CLS] attends to: it stands at place 0, where nothing is turned."""
        query, key, value = self._projected(token, states, layer, heads)
        window, bias = self._windows[layer], None
        if window is not None:
            bias = self._beyond(
                self._nodes.node("Unsqueeze", [self._distances.places(), self._nodes.integers(0)]), window
            )
        return self._nodes.attention([query, self._turned(key, layer, heads), value], heads, self._key_mask, bias)

    def _turned(self, states: str, layer: int, heads: int) -> str:
        theta = self._thetas[layer]
        return self._nodes.turned(states, heads, (f"cos.{theta}", f"sin.{theta}"), self._distances.length)

    def _beyond(self, apart: str, window: int) -> str:
        """Return what is added to scores (1, 1, tokens, length) of tokens that are so far apart (tokens, length)."""
        nodes = self._nodes
        beyond = nodes.floating(nodes.node("Greater", [apart, nodes.constant(np.array(window))]))
        return nodes.node("Unsqueeze", [nodes.node("Mul", [beyond, nodes.number(nodes.masked)]), nodes.integers(0, 1)])
