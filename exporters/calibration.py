"""Finds what int8-static graphs round the input of every product to, from texts that run through the reference.

Which way of choosing a range is best differs from sub-network to sub-network; the caller tries them all.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgebert.exporters import reference
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.quantize import Range
from edgebert.exporters.reference import Inputs
from edgebert.subnet import Subnet
from edgebert.tasks.task import Outputs

RangeMethod = Literal["extremes", "percentile", "mse"]
Ranges = dict[str, Range]

RANGE_METHODS: tuple[RangeMethod, ...] = ("extremes", "percentile", "mse")
MOST_TEXTS = 128
_VALUES_A_TEXT = 512  # drawn at random from what enters a unit; 65,536 in all
_PERCENTILE = 0.01  # per cent of the values that are cut off at each end
_SHRINKS = np.linspace(1, 0.3, 29)  # parts of the whole range that are tried for the least error


class Observed:
    """What entered each unit's product: the whole range, and a sample of the values."""

    def __init__(self) -> None:
        self._whole: dict[str, Range] = {}
        self._samples: dict[str, list[Array]] = {}

    def see(self, unit: str, x: Array) -> Array:
        """Note the input of a unit and return it as it is: a `Rounding` of the reference."""
        found, before = Range.of(x), self._whole.get(unit, Range(0, 0))
        self._whole[unit] = Range(min(found.low, before.low), max(found.high, before.high))
        # Units that read the same values see the same sample of them, so that one product can serve them all.
        drawn = np.random.default_rng(x.size).choice(x.ravel(), _VALUES_A_TEXT)
        self._samples.setdefault(unit, []).append(drawn)
        return x

    def ranges(self, method: RangeMethod) -> Ranges:
        """Return each unit's range, by one of `RANGE_METHODS`."""
        return {unit: _range(method, whole, np.concatenate(self._samples[unit])) for unit, whole in self._whole.items()}


def observe(
    subnet: Subnet, source: Checkpoint, tensors: dict[str, Array], texts: Sequence[Inputs]
) -> tuple[Observed, list[Outputs]]:
    """Run texts, one by one, through a sub-network; return what entered its products, and each one's outputs."""
    observed = Observed()
    return observed, [reference.outputs(subnet, source, tensors, inputs, observed.see) for inputs in texts]


def _range(method: RangeMethod, whole: Range, sample: Array) -> Range:
    match method:
        case "extremes":
            return whole
        case "percentile":
            low, high = np.percentile(sample, [_PERCENTILE, 100 - _PERCENTILE])
            return Range(min(float(low), 0), max(float(high), 0))
        case "mse":
            parts = [Range(whole.low * float(part), whole.high * float(part)) for part in _SHRINKS]
            return min(parts, key=lambda part: float(np.square(part.rounded(sample) - sample).mean()))
