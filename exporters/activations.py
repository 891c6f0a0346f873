"""Activations by transformers' names of them (its ACT2FN): as nodes of a graph, and once more in numpy.

Those that have weights of their own, prelu and xielu, are left out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebert.exporters.checkpoint import Array
from edgebert.exporters.nodes import Nodes


@dataclass(frozen=True)
class Activation:
    """An activation: `write` adds its nodes behind a value, `compute` does the same in numpy and shares no code."""

    write: Callable[[Nodes, str], str]
    compute: Callable[[Array], Array]


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function of x."""
    return (x * 0.5 * (1 + _erf(x / np.float32(math.sqrt(2))))).astype(np.float32)


def _erf(x: Array) -> Array:
    """Return the error function within 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26)."""
    # numpy has none.
    t = 1 / (1 + 0.3275911 * np.abs(x))
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - polynomial * np.exp(-(x**2))), np.float32)


def _gelu_tanh(x: Array) -> Array:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner)), np.float32)


def _sigmoid(x: Array) -> Array:
    # By tanh, whose exponentials do not overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, 0), np.float32)


def _laplace(x: Array) -> Array:
    return np.asarray(0.5 + 0.5 * _erf((x - 0.707107) / (0.282095 * math.sqrt(2))), np.float32)


def _operator(name: str, **attributes: Any) -> Callable[[Nodes, str], str]:
    return lambda nodes, x: nodes.node(name, [x], **attributes)


def _times(nodes: Nodes, x: str, factor: str) -> str:
    return nodes.node("Mul", [x, factor])


def _clipped(nodes: Nodes, x: str, least: float, most: float) -> str:
    return nodes.node("Clip", [x, nodes.number(least), nodes.number(most)])


def _write_quick_gelu(nodes: Nodes, x: str) -> str:
    return _times(nodes, x, nodes.node("Sigmoid", [_times(nodes, x, nodes.number(1.702))]))


def _write_mish(nodes: Nodes, x: str) -> str:
    return _times(nodes, x, nodes.node("Tanh", [nodes.node("Softplus", [x])]))


def _write_laplace(nodes: Nodes, x: str) -> str:
    scaled = nodes.node("Div", [nodes.node("Sub", [x, nodes.number(0.707107)]), nodes.number(0.282095 * math.sqrt(2))])
    shifted = nodes.node("Add", [nodes.node("Erf", [scaled]), nodes.number(1)])
    return _times(nodes, shifted, nodes.number(0.5))


def _write_relu2(nodes: Nodes, x: str) -> str:
    positive = nodes.node("Relu", [x])
    return _times(nodes, positive, positive)


_GELU = Activation(lambda nodes, x: nodes.gelu(x), gelu)
# Its five forms there differ in how they are rounded.
_GELU_TANH = Activation(lambda nodes, x: nodes.gelu_tanh(x), _gelu_tanh)
_SILU = Activation(lambda nodes, x: _times(nodes, x, nodes.node("Sigmoid", [x])), lambda x: x * _sigmoid(x))

ACTIVATIONS: dict[str, Activation] = {
    **dict.fromkeys(("gelu", "gelu_python"), _GELU),
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"), _GELU_TANH),
    "gelu_10": Activation(lambda nodes, x: _clipped(nodes, nodes.gelu(x), -10, 10), lambda x: gelu(x).clip(-10, 10)),
    "quick_gelu": Activation(_write_quick_gelu, lambda x: x * _sigmoid(np.float32(1.702) * x)),
    **dict.fromkeys(("silu", "swish"), _SILU),
    "relu": Activation(_operator("Relu"), lambda x: np.maximum(x, 0)),
    "relu2": Activation(_write_relu2, lambda x: np.maximum(x, 0) ** 2),
    "relu6": Activation(lambda nodes, x: _clipped(nodes, x, 0, 6), lambda x: x.clip(0, 6)),
    "leaky_relu": Activation(_operator("LeakyRelu", alpha=0.01), lambda x: np.where(x < 0, np.float32(0.01) * x, x)),
    "hardswish": Activation(_operator("HardSwish"), lambda x: x * (x + 3).clip(0, 6) / np.float32(6)),
    "mish": Activation(_write_mish, lambda x: x * np.tanh(_softplus(x))),
    "laplace": Activation(_write_laplace, _laplace),
    "sqrtsoftplus": Activation(
        lambda nodes, x: nodes.node("Sqrt", [nodes.node("Softplus", [x])]), lambda x: np.sqrt(_softplus(x))
    ),
    "sigmoid": Activation(_operator("Sigmoid"), _sigmoid),
    "tanh": Activation(_operator("Tanh"), np.tanh),
    "linear": Activation(lambda _, x: x, lambda x: x),
}
