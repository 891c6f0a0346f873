"""The models' forward pass in plain numpy: what every exported graph must compute, written a second time on purpose.

Follows the models' equations (Devlin et al. 2019, and those that came after), not the graph's operators, and shares no
code with the graph.
"""

import math
from collections.abc import Callable

import numpy as np

from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.heads import head_of
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Subnet
from edgebert.tasks.task import Outputs

Places = np.typing.NDArray[np.int64]
# What becomes of the input (batch, length, inputs) of a unit's product, by the unit's name: rounded as graphs round it.
Rounding = Callable[[str, Array], Array]


def outputs(
    subnet: Subnet, source: Checkpoint, tensors: dict[str, Array], inputs: Arrays, rounding: Rounding = lambda _, x: x
) -> Outputs:
    """Return what a sub-network's graph must put out for graph inputs (batch, length).

    `tensors` are the checkpoint's own, or rounded as they are stored.
    """
    model = _Reference(source, tensors, rounding, inputs)
    states, head = model.embeddings(), head_of(source)
    for place, (layer, heads, ffn) in enumerate(zip(subnet.layers, subnet.heads, subnet.ffn, strict=True)):
        last = place == len(subnet.layers) - 1
        # Exact in fp32; in int8 the rounding range is that of the tokens which are computed.
        places = model.place_of_cls if last and not head.reads_all_tokens else model.places
        states = model.layer(str(layer), places, states, heads * source.sizes.head_size, ffn)
    activation = ACTIVATIONS[source.settings.head_activation].compute
    return head.compute(tensors, states, model.linear, activation, inputs["attention_mask"].sum(axis=1).tolist())


class _Reference:
    """`places` (batch, tokens) are those of tokens in their text."""

    def __init__(self, source: Checkpoint, tensors: dict[str, Array], rounding: Rounding, inputs: Arrays):
        self.source, self.tensors, self.rounding, self.inputs = source, tensors, rounding, inputs
        self.activation = ACTIVATIONS[source.settings.activation].compute
        real = inputs["attention_mask"] == 1
        self.mask = np.where(real, 0.0, -np.inf).astype(np.float32)[:, None, None, :]
        self.places = np.broadcast_to(np.arange(real.shape[1]), real.shape)
        first, last = self.places[:, :1], np.where(real, self.places, 0).max(axis=1, keepdims=True)
        self.place_of_cls = last if source.family.relative else first
        # A tokenizer gives single texts type 0 and, in XLNet's, <cls> type 2.
        cls_differs = source.family.relative and source.sizes.types > 1
        of_singles = 2 * (self.places == last) if cls_differs else np.zeros_like(self.places)
        self.types = inputs.get("token_type_ids", of_singles)

    def embeddings(self) -> Array:
        ids = self.inputs["input_ids"]
        if self.source.family.relative:
            return self.tensors["word"][ids]
        states = self.tensors["word"][ids] + self.tensors["position"][self.positions(ids)]
        if "type" in self.tensors:
            states = states + self.tensors["type"][self.types]
        states = self.norm(states, "embedding_norm")
        return self.linear(states, "projection") if "projection.weight" in self.tensors else states

    def positions(self, ids: Places) -> Places:
        """Return the rows of the position table for ids (batch, length)."""
        settings = self.source.settings
        if settings.padding is None:
            return settings.first_position + self.places
        counted = ids != settings.padding
        return np.where(counted, settings.padding + np.cumsum(counted, axis=1), settings.padding)

    def layer(self, layer: str, places: Places, states: Array, size: int, ffn: int) -> Array:
        """Return the new states of the tokens at some places, with `size` dimensions of heads kept."""
        tokens = np.take_along_axis(states, places[:, :, None], axis=1)
        query = self.split(self.linear(tokens, f"{layer}.q", outputs=size))
        key, value = (self.split(self.linear(states, f"{layer}.{unit}", outputs=size)) for unit in "kv")
        relative = self.source.family.relative
        scores = self.relative_scores(layer, query, key, places) if relative else query @ key.swapaxes(-1, -2)
        scores = scores / np.float32(math.sqrt(self.source.sizes.head_size)) + self.mask

        # Less the largest, so that no exponential overflows.
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = weights / weights.sum(axis=-1, keepdims=True) @ value
        attended = heads.swapaxes(1, 2).reshape(*tokens.shape[:2], size)
        tokens = self.norm(tokens + self.linear(attended, f"{layer}.o", inputs=size), f"{layer}.attention_norm")

        active = self.activation(self.linear(tokens, f"{layer}.ffn_in", outputs=ffn))
        return self.norm(tokens + self.linear(active, f"{layer}.ffn_out", inputs=ffn), f"{layer}.ffn_norm")

    def relative_scores(self, layer: str, query: Array, key: Array, places: Places) -> Array:
        """Return what the tokens at some places give to all: for what these are, how far away, and in which segment
        (Yang et al. 2019; the relative positions are those of Dai et al. 2019)."""
        heads, length = key.shape[1:3]
        content, position, segment = (
            query + self.tensors[f"{layer}.r.{kind}_bias"][:heads, None] for kind in ("content", "position", "segment")
        )
        distances, longest = np.arange(1 - length, length), self.source.settings.longest_distance
        distances = distances if longest is None else np.clip(distances, -longest, longest)
        keys = self.split((waves(distances, self.source.sizes.hidden) @ self.tensors[f"{layer}.r.weight"].T)[None])
        by_distance = position @ keys[:, :heads].swapaxes(-1, -2)
        # Column n of `by_distance` is that of distance n + 1 - length.
        wanted = places[:, None, :, None] - np.arange(length) + length - 1
        by_place = np.take_along_axis(by_distance, wanted, axis=-1)

        same, different = (segment @ vector[:heads, :, None] for vector in self.tensors[f"{layer}.r.segments"])
        types = np.take_along_axis(self.types, places, axis=1)[:, None, :, None]
        by_segment = np.where(types == self.types[:, None, None, :], same, different)
        return np.asarray(content @ key.swapaxes(-1, -2) + by_place + by_segment)

    def linear(self, states: Array, unit: str, outputs: int | None = None, inputs: int | None = None) -> Array:
        product = self.rounding(unit, states) @ self.tensors[f"{unit}.weight"][:outputs, :inputs].T
        bias = self.tensors.get(f"{unit}.bias")
        return np.asarray(product if bias is None else product + bias[:outputs])

    def split(self, states: Array) -> Array:
        """Return (batch, heads, length, head size) of (batch, length, heads * head size)."""
        return np.asarray(states.reshape(*states.shape[:2], -1, self.source.sizes.head_size).swapaxes(1, 2))

    def norm(self, states: Array, name: str) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.source.settings.layer_norm_eps))
        return np.asarray(scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"])


def waves(distances: Places, hidden: int) -> Array:
    """Return the sines, then the cosines, (distances, hidden) of what tells distances apart (Vaswani et al. 2017)."""
    angles = np.outer(distances, 10_000.0 ** -(np.arange(0, hidden, 2) / hidden))
    return np.hstack([np.sin(angles), np.cos(angles)]).astype(np.float32)
