"""The models' forward pass in plain numpy: what every exported graph must compute, written a second time on purpose.

Follows the models' equations (Devlin et al. 2019, and those that came after), not the graph's operators, and shares no
code with the graph.
"""

import math
from collections.abc import Callable

import numpy as np

from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.subnet import Subnet

Inputs = dict[str, np.typing.NDArray[np.int64]]
# What becomes of the input (batch, length, inputs) of a unit's product, by the unit's name: rounded as graphs round it.
Rounding = Callable[[str, Array], Array]


def unrounded(_: str, x: Array) -> Array:
    """Return x as it is."""
    return x


def logits(
    subnet: Subnet, source: Checkpoint, tensors: dict[str, Array], inputs: Inputs, rounding: Rounding = unrounded
) -> Array:
    """Return the logits (batch, labels) of a sub-network for graph inputs (batch, length).

    `tensors` are the checkpoint's own, or rounded as they are stored.
    """
    model = _Reference(source, tensors, rounding)
    states = model.embeddings(inputs)
    mask = np.where(inputs["attention_mask"] == 1, 0.0, -np.inf).astype(np.float32)[:, None, None, :]
    for place, (layer, heads, ffn) in enumerate(zip(subnet.layers, subnet.heads, subnet.ffn, strict=True)):
        last = place == len(subnet.layers) - 1
        # Exact in fp32; in int8 the rounding range is that of the tokens which are computed.
        tokens = states[:, :1] if last else states
        states = model.layer(str(layer), tokens, states, mask, heads * source.sizes.head_size, ffn)
    return model.head(states[:, 0])


class _Reference:
    def __init__(self, source: Checkpoint, tensors: dict[str, Array], rounding: Rounding):
        self.source, self.tensors, self.rounding = source, tensors, rounding

    def embeddings(self, inputs: Inputs) -> Array:
        ids = inputs["input_ids"]
        states = self.tensors["word"][ids] + self.tensors["position"][self.source.first_position :][: ids.shape[1]]
        if "type" in self.tensors:
            states = states + self.tensors["type"][inputs.get("token_type_ids", np.zeros_like(ids))]
        states = self.norm(states, "embedding_norm")
        return self.linear(states, "projection") if "projection.weight" in self.tensors else states

    def layer(self, layer: str, tokens: Array, states: Array, mask: Array, size: int, ffn: int) -> Array:
        """Return the new states of `tokens`, which attend to `states`, with `size` dimensions of heads kept."""
        query = self.split(self.linear(tokens, f"{layer}.q", outputs=size))
        key, value = (self.split(self.linear(states, f"{layer}.{unit}", outputs=size)) for unit in "kv")
        scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(self.source.sizes.head_size)) + mask
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = weights / weights.sum(axis=-1, keepdims=True) @ value
        attended = heads.swapaxes(1, 2).reshape(*tokens.shape[:2], size)
        tokens = self.norm(tokens + self.linear(attended, f"{layer}.o", inputs=size), f"{layer}.attention_norm")
        active = gelu(self.linear(tokens, f"{layer}.ffn_in", outputs=ffn))
        return self.norm(tokens + self.linear(active, f"{layer}.ffn_out", inputs=ffn), f"{layer}.ffn_norm")

    def head(self, cls: Array) -> Array:
        activations = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "gelu": gelu}
        active = activations[self.source.family.activation](self.linear(cls, "pooler"))
        return active @ self.tensors["classifier.weight"].T + self.tensors["classifier.bias"]

    def linear(self, states: Array, unit: str, outputs: int | None = None, inputs: int | None = None) -> Array:
        weight, bias = self.tensors[f"{unit}.weight"], self.tensors[f"{unit}.bias"]
        return self.rounding(unit, states) @ weight[:outputs, :inputs].T + bias[:outputs]

    def split(self, states: Array) -> Array:
        """Return (batch, heads, length, head size) of (batch, length, heads * head size)."""
        return states.reshape(*states.shape[:2], -1, self.source.sizes.head_size).swapaxes(1, 2)

    def norm(self, states: Array, name: str) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.source.layer_norm_eps))
        return scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function of x."""
    return (x * 0.5 * (1 + _erf(x / np.float32(math.sqrt(2))))).astype(np.float32)


def _erf(x: Array) -> Array:
    """Return the error function within 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - polynomial * np.exp(-(x**2)))
