"""Compares a graph that rounds what enters its products with the reference, product by product.

Where a number lies between two int8 levels its last bit decides which one it becomes, and through the layers of a deep
network that moves the outputs nearly as far as rounding itself does: by outputs alone a right graph cannot be told from
one that lacks a bias. Here the reference goes on, at each product, from what the graph itself has read there, so that
nothing adds up and every step is as near as in float32.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from edgebert.engines.onnx_runtime import OnnxRuntimeSession
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array
from edgebert.exporters.nodes import read_name
from edgebert.exporters.reference import Rounding
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Subnet
from edgebert.tasks.task import Outputs

# How far what a graph reads may lie from what the reference computes, on average over tokens: a share of the largest
# number there. Of MiniLM-L6 the most is 0.0001. A number that becomes another level moves a single token by 0.004.
TOLERANCE = 0.003

Mask = np.typing.NDArray[np.bool_]
# What the reference puts out for inputs, with a rounding of what enters products.
Compute = Callable[[Arrays, Rounding], Outputs]


def checked_steps(
    subnet: Subnet, session: OnnxRuntimeSession, batches: Iterable[Arrays], rounding: Rounding, compute: Compute
) -> list[Outputs]:
    """Return a graph's outputs for batches, after each of its steps was compared with what `compute` gives.

    The session's graph shows what its products read, which it rounds as `rounding` does.

    Raises:
        ExportError: a step or an output is not what it should be; names the first.
    """
    outputs: list[Outputs] = []
    steps: dict[str, _Step] = defaultdict(_Step)
    for inputs in batches:
        found, is_real = session.run(inputs), inputs["attention_mask"] == 1

        def follow(unit: str, x: Array, found: Outputs = found, is_real: Mask = is_real) -> Array:
            read = found[read_name(unit)]
            steps[f"what {unit} reads is"].add(read, x, is_real)
            return rounding(unit, read)

        expected = compute(inputs, follow)
        outputs.append({name: found[name] for name in expected})
        for name, right in expected.items():
            steps[f"{name} are"].add(found[name], right, is_real)

    for what, step in steps.items():
        # So that what is not a number is refused too.
        if not step.difference <= TOLERANCE:
            wrong = f"the graph of {subnet.id} does not compute what the checkpoint does"
            figures = f"{what} off by {step.difference:.2g} of the largest, at most {TOLERANCE} is allowed"
            raise ExportError(f"{wrong}: {figures}; report this")
    return outputs


class _Step:
    """One place in a network, and how far a graph is off there."""

    def __init__(self) -> None:
        self._differences: list[Array] = []
        self._largest = np.finfo(np.float32).tiny

    def add(self, found: Array, right: Array, is_real: Mask) -> None:
        """Compare what was found for a batch; padding, where `is_real` (batch, length) is false, may be anything."""
        if found.shape[:2] == is_real.shape:
            found, right = found[is_real], right[is_real]
        self._differences.append(np.abs(found - right).reshape(len(right), -1).max(axis=1))
        self._largest = max(self._largest, np.abs(right).max())

    @property
    def difference(self) -> float:
        """The largest difference of each token, on average, as a share of the largest number."""
        return float(np.concatenate(self._differences).mean() / self._largest)
