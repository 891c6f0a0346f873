"""BERT's forward pass in plain numpy: what every exported graph must compute, written a second time on purpose.

Follows the model's equations (Devlin et al. 2019), not the graph's operators, and shares no code with the graph.
"""

import math

import numpy as np

from edgebert.exporters.checkpoint import Array, Sizes
from edgebert.subnet import Subnet

Inputs = dict[str, np.typing.NDArray[np.int64]]


def logits(
    subnet: Subnet,
    sizes: Sizes,
    layer_norm_eps: float,
    tensors: dict[str, Array],
    inputs: Inputs,
    *,
    int8: bool = False,
) -> Array:
    """Return the logits (batch, labels) of a sub-network for graph inputs (batch, length).

    With `int8`, what enters a matrix product is first rounded as int8 graphs do: per tensor, to 256 levels between
    its extremes. `tensors` are then expected to hold rounded weights.
    """
    model = _Reference(tensors, layer_norm_eps, sizes.head_size, int8)
    states = model.embeddings(inputs)
    mask = np.where(inputs["attention_mask"] == 1, 0.0, -np.inf).astype(np.float32)[:, None, None, :]
    for place, (layer, heads, ffn) in enumerate(zip(subnet.layers, subnet.heads, subnet.ffn, strict=True)):
        last = place == len(subnet.layers) - 1
        # Exact in fp32; in int8 the rounding range is that of the tokens which are computed.
        tokens = states[:, :1] if last else states
        states = model.layer(str(layer), tokens, states, mask, heads * sizes.head_size, ffn)
    return model.head(states[:, 0])


class _Reference:
    def __init__(self, tensors: dict[str, Array], layer_norm_eps: float, head_size: int, int8: bool):
        self.tensors, self.layer_norm_eps, self.head_size, self.int8 = tensors, layer_norm_eps, head_size, int8

    def embeddings(self, inputs: Inputs) -> Array:
        words = self.tensors["word"][inputs["input_ids"]]
        types = self.tensors["type"][inputs["token_type_ids"]]
        positions = self.tensors["position"][: words.shape[1]]
        return self.norm(words + types + positions, "embedding_norm")

    def layer(self, layer: str, tokens: Array, states: Array, mask: Array, size: int, ffn: int) -> Array:
        """Return the new states of `tokens`, which attend to `states`, with `size` dimensions of heads kept."""
        query = self.split(self.linear(tokens, f"{layer}.q", outputs=size))
        key, value = (self.split(self.linear(states, f"{layer}.{unit}", outputs=size)) for unit in "kv")
        scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(self.head_size)) + mask
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = weights / weights.sum(axis=-1, keepdims=True) @ value
        attended = heads.swapaxes(1, 2).reshape(*tokens.shape[:2], size)
        tokens = self.norm(tokens + self.linear(attended, f"{layer}.o", inputs=size), f"{layer}.attention_norm")
        active = gelu(self.linear(tokens, f"{layer}.ffn_in", outputs=ffn))
        return self.norm(tokens + self.linear(active, f"{layer}.ffn_out", inputs=ffn), f"{layer}.ffn_norm")

    def head(self, cls: Array) -> Array:
        pooled = np.tanh(self.linear(cls, "pooler"))
        return pooled @ self.tensors["classifier.weight"].T + self.tensors["classifier.bias"]

    def linear(self, states: Array, unit: str, outputs: int | None = None, inputs: int | None = None) -> Array:
        weight, bias = self.tensors[f"{unit}.weight"], self.tensors[f"{unit}.bias"]
        return (rounded(states) if self.int8 else states) @ weight[:outputs, :inputs].T + bias[:outputs]

    def split(self, states: Array) -> Array:
        """Return (batch, heads, length, head size) of (batch, length, heads * head size)."""
        return states.reshape(*states.shape[:2], -1, self.head_size).swapaxes(1, 2)

    def norm(self, states: Array, name: str) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.layer_norm_eps))
        return scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function of x."""
    return (x * 0.5 * (1 + _erf(x / np.float32(math.sqrt(2))))).astype(np.float32)


def _erf(x: Array) -> Array:
    """Return the error function within 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - polynomial * np.exp(-(x**2)))


def rounded(x: Array) -> Array:
    """Return x rounded to 256 levels between its extremes, 0 being one of them (ONNX DynamicQuantizeLinear)."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = np.float32((high - low) / 255) or np.float32(1)
    zero = np.clip(np.rint(np.float32(-low) / scale), 0, 255)
    return (np.clip(np.rint(x / scale) + zero, 0, 255) - zero).astype(np.float32) * scale
