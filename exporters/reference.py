"""The models' forward pass in plain numpy: what every exported graph must compute, written a second time on purpose.

Follows the models' equations (Devlin et al. 2019, and those that came after), not the graph's operators, and shares no
code with the graph.
"""

import math
from collections.abc import Callable

import numpy as np

from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.family import Biased, ByDistance, Disentangled, Rotary
from edgebert.exporters.heads import head_of
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Subnet
from edgebert.tasks.task import Outputs

Places = np.typing.NDArray[np.int64]
# What becomes of the input (batch, length, inputs) of a unit's product, by the unit's name: rounded as graphs round it.
Rounding = Callable[[str, Array], Array]
# What becomes of what is computed: products, sums, scores, norms.
Keeping = Callable[[Array], Array]


def outputs(
    subnet: Subnet,
    source: Checkpoint,
    tensors: dict[str, Array],
    inputs: Arrays,
    rounding: Rounding = lambda _, x: x,
    keeping: Keeping = lambda x: x,
) -> Outputs:
    """Return what a sub-network's graph must put out for graph inputs (batch, length).

    `tensors` are the checkpoint's own, or rounded as they are stored.
    """
    model = _Reference(source, tensors, rounding, keeping, inputs)
    states, head = model.embeddings(), head_of(source)
    reads_all = head.reads_all_tokens or source.settings.mean_pooling
    for place, (layer, heads, ffn) in enumerate(zip(subnet.layers, subnet.heads, subnet.ffn, strict=True)):
        last = place == len(subnet.layers) - 1
        # Exact in fp32; in int8 the rounding range is that of the tokens which are computed.
        places = model.place_of_cls if last and not reads_all else model.places
        states = model.layer(layer, places, states, heads * source.sizes.head_size, ffn)
    read, lengths = model.read_by_head(states, head.reads_all_tokens), inputs["attention_mask"].sum(axis=1).tolist()
    return head.compute(tensors, read, model.linear, model.head_activation, lengths)


class _Reference:
    """`places` (batch, tokens) are those of tokens in their text."""

    def __init__(
        self, source: Checkpoint, tensors: dict[str, Array], rounding: Rounding, keeping: Keeping, inputs: Arrays
    ):
        self.source, self.tensors, self.inputs = source, tensors, inputs
        self.rounding, self.keeping = rounding, keeping
        self.activation = ACTIVATIONS[source.settings.activation].compute
        real = inputs["attention_mask"] == 1
        self.mask = np.where(real, 0.0, -np.inf).astype(np.float32)[:, None, None, :]
        self.places = np.broadcast_to(np.arange(real.shape[1]), real.shape)
        first, last = self.places[:, :1], np.where(real, self.places, 0).max(axis=1, keepdims=True)
        is_last = isinstance(source.settings.attention, ByDistance)
        self.place_of_cls = last if is_last else first
        # A tokenizer gives single texts type 0 and, in XLNet's, <cls> type 2.
        cls_differs = is_last and source.sizes.types > 1
        of_singles = 2 * (self.places == last) if cls_differs else np.zeros_like(self.places)
        self.types = inputs.get("token_type_ids", of_singles)

    def embeddings(self) -> Array:
        ids = self.inputs["input_ids"]
        states = self.tensors["word"][ids]
        if "position" in self.tensors:
            states = states + self.tensors["position"][self.positions(ids)]
        if "type" in self.tensors:
            states = states + self.tensors["type"][self.types]
        states = self.norm(self.keeping(states), "embedding_norm")
        return self.linear(states, "projection") if "projection.weight" in self.tensors else states

    def positions(self, ids: Places) -> Places:
        """Return the rows of the position table for ids (batch, length)."""
        settings = self.source.settings
        if settings.padding is None:
            return settings.first_position + self.places
        counted = ids != settings.padding
        return np.where(counted, settings.padding + np.cumsum(counted, axis=1), settings.padding)

    def layer(self, number: int, places: Places, states: Array, size: int, ffn: int) -> Array:
        """Return the new states of the tokens at some places, with `size` dimensions of heads kept."""
        layer, is_before = str(number), self.source.family.pre_norm
        read = self.norm(states, f"{layer}.attention_norm") if is_before else states
        tokens, asking = (np.take_along_axis(x, places[:, :, None], axis=1) for x in (states, read))
        query = self.split(self.linear(asking, f"{layer}.q", outputs=size))
        key, value = (self.split(self.linear(read, f"{layer}.{unit}", outputs=size)) for unit in "kv")
        scores = self.keeping(self.scores(number, query, key, places)) + self.mask

        # Less the largest, so that no exponential overflows.
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = self.keeping(weights / weights.sum(axis=-1, keepdims=True)) @ value
        attended = self.keeping(heads).swapaxes(1, 2).reshape(*tokens.shape[:2], size)
        tokens = self.keeping(tokens + self.linear(attended, f"{layer}.o", inputs=size))
        if is_before:
            return self.keeping(tokens + self.ffn(self.norm(tokens, f"{layer}.ffn_norm"), layer, ffn))
        tokens = self.norm(tokens, f"{layer}.attention_norm")
        return self.norm(self.keeping(tokens + self.ffn(tokens, layer, ffn)), f"{layer}.ffn_norm")

    def ffn(self, tokens: Array, layer: str, ffn: int) -> Array:
        active = self.keeping(self.activation(self.linear(tokens, f"{layer}.ffn_in", outputs=ffn)))
        if f"{layer}.ffn_gate.weight" in self.tensors:
            active = self.keeping(active * self.linear(tokens, f"{layer}.ffn_gate", outputs=ffn))
        return self.linear(active, f"{layer}.ffn_out", inputs=ffn)

    def read_by_head(self, states: Array, all_tokens: bool) -> Array:
        """Return what the head reads of the last layer's states."""
        states = self.norm(states, "final_norm")
        if all_tokens or not self.source.settings.mean_pooling:
            return states
        real = self.inputs["attention_mask"][:, :, None].astype(np.float32)
        return np.asarray((states * real).sum(axis=1, keepdims=True) / real.sum(axis=1, keepdims=True))

    def head_activation(self, states: Array) -> Array:
        return self.norm(ACTIVATIONS[self.source.settings.head_activation].compute(states), "head_norm")

    def scores(self, layer: int, query: Array, key: Array, places: Places) -> Array:
        """Return what the tokens at some places give to all (batch, heads, tokens, length)."""
        divisor = np.float32(math.sqrt(self.source.sizes.head_size))
        apart = places[:, None, :, None] - np.arange(key.shape[2])  # (batch, 1, tokens, length)
        match self.source.settings.attention:
            case ByDistance(longest):
                return self.relative_scores(f"{layer}.r", query, key, apart, longest) / divisor
            case Biased():
                table = self.tensors["distance_bias"][:, : query.shape[1]]
                return query @ key.swapaxes(-1, -2) / divisor + table[buckets(apart)[:, 0]].transpose(0, 3, 1, 2)
            case Rotary(thetas, windows):
                place = self.source.layers.index(layer)
                query, key = turned(query, places, thetas[place]), turned(key, self.places, thetas[place])
                window = windows[place]
                # Not infinite: a token that is padding may see none. Nor more than float16 holds.
                unseen = np.where(np.abs(apart) > (len(apart) + key.shape[2] if window is None else window), -3e4, 0)
                return query @ key.swapaxes(-1, -2) / divisor + unseen.astype(np.float32)
            case Disentangled() as attention:
                return self.disentangled_scores(str(layer), query, key, apart, attention)
            case None:
                return np.asarray(query @ key.swapaxes(-1, -2) / divisor)

    def relative_scores(self, name: str, query: Array, key: Array, apart: Places, longest: int | None) -> Array:
        """Return XLNet's: for what tokens are, how far apart, and in which segment (Yang et al. 2019; the relative
        positions are those of Dai et al. 2019)."""
        heads, length = key.shape[1:3]
        content, position, segment = (
            query + self.tensors[f"{name}.{kind}_bias"][:heads, None] for kind in ("content", "position", "segment")
        )
        distances = np.arange(1 - length, length)
        distances = distances if longest is None else np.clip(distances, -longest, longest)
        keys = self.split((waves(distances, self.source.sizes.hidden) @ self.tensors[f"{name}.weight"].T)[None])
        by_distance = position @ keys[:, :heads].swapaxes(-1, -2)
        # Column n of `by_distance` is that of distance n + 1 - length.
        by_place = np.take_along_axis(by_distance, apart + length - 1, axis=-1)

        same, different = (segment @ vector[:heads, :, None] for vector in self.tensors[f"{name}.segments"])
        types = np.take_along_axis(self.types[:, None, :, None], apart[..., :1], axis=2)
        by_segment = np.where(types == self.types[:, None, None, :], same, different)
        return np.asarray(content @ key.swapaxes(-1, -2) + by_place + by_segment)

    def disentangled_scores(
        self, layer: str, query: Array, key: Array, apart: Places, attention: Disentangled
    ) -> Array:
        """Return DeBERTa's, of what tokens are and of how far apart they are (He et al. 2021)."""
        tensors, heads = self.source.tensors, key.shape[1]  # what no text changes is rounded nowhere
        table = tensors["distance"]
        if "distance_norm.weight" in tensors:
            table = self.norm(table, "distance_norm")

        def vectors(unit: str) -> Array:
            own = f"{layer}.distance_{unit}"
            name = own if f"{own}.weight" in tensors else f"{layer}.{unit}"
            return self.split((table @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"])[None])[:, :heads]

        rows, scores = rows_of(apart, attention), query @ key.swapaxes(-1, -2)
        if "c2p" in attention.terms:
            scores = scores + np.take_along_axis(query @ vectors("k").swapaxes(-1, -2), rows, axis=-1)
        if "p2c" in attention.terms:
            of_keys = (key @ vectors("q").swapaxes(-1, -2)).swapaxes(-1, -2)  # (batch, heads, distances, length)
            scores = scores + np.take_along_axis(of_keys, rows, axis=-2)
        return np.asarray(scores / np.float32(math.sqrt((1 + len(attention.terms)) * self.source.sizes.head_size)))

    def linear(self, states: Array, unit: str, outputs: int | None = None, inputs: int | None = None) -> Array:
        product = self.rounding(unit, states) @ self.tensors[f"{unit}.weight"][:outputs, :inputs].T
        bias = self.tensors.get(f"{unit}.bias")
        return self.keeping(product if bias is None else product + bias[:outputs])

    def split(self, states: Array) -> Array:
        """Return (batch, heads, length, head size) of (batch, length, heads * head size)."""
        return np.asarray(states.reshape(*states.shape[:2], -1, self.source.sizes.head_size).swapaxes(1, 2))

    def norm(self, states: Array, name: str) -> Array:
        """Return the layer norm, the states themselves where the model has none of that name."""
        if f"{name}.weight" not in self.tensors:
            return states
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.source.settings.layer_norm_eps))
        return self.keeping(scaled * self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", np.float32(0)))


def waves(distances: Places, hidden: int) -> Array:
    """Return the sines, then the cosines, (distances, hidden) of what tells distances apart (Vaswani et al. 2017)."""
    angles = np.outer(distances, 10_000.0 ** -(np.arange(0, hidden, 2) / hidden))
    return np.hstack([np.sin(angles), np.cos(angles)]).astype(np.float32)


def turned(states: Array, places: Places, theta: float) -> Array:
    """Return states (batch, heads, tokens, size) turned by places (batch, tokens): of each number of the first half and
    the one in the second, as one complex number (Su et al. 2021)."""
    half = states.shape[-1] // 2
    angles = places[:, None, :, None] * theta ** (-np.arange(half) / half)
    rotated = (states[..., :half] + 1j * states[..., half:]) * np.exp(1j * angles)
    return np.concatenate([rotated.real, rotated.imag], axis=-1).astype(np.float32)


def buckets(apart: Places) -> Places:
    """Return the rows of MPNet's table for distances: to either side 8 of one each, then as many that grow by the root
    of 2 (Raffel et al. 2020)."""
    far = np.abs(apart)
    # Without logarithms: bucket 8 + n begins where the square of far / 8 is 2^n.
    grown = sum((far**2 >= 64 * 2**step).astype(np.int64) for step in range(1, 8))
    return np.where(far < 8, far, 8 + grown) + np.where(apart < 0, 16, 0)


def rows_of(apart: Places, attention: Disentangled) -> Places:
    """Return the rows of DeBERTa's table for distances."""
    rows, far = apart, np.abs(apart)
    if attention.buckets is not None and far.max() > attention.buckets // 2:
        half = attention.buckets // 2
        share = np.log(np.maximum(far, half) / half) / np.log((attention.longest - 1) / half)
        # The largest distance is to take the last row, whatever the last bit says.
        grown = half + np.ceil(share * (half - 1) - 1e-6).astype(np.int64)
        rows = np.where(far <= half, apart, np.sign(apart) * grown)
    return np.asarray((rows + attention.span).clip(0, 2 * attention.span - 1))
