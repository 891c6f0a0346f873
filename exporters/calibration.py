"""Finds what int8-static graphs round the input of every product to, from texts that run through the reference.

Which way of choosing a range is best differs from sub-network to sub-network; the caller tries them all.
"""

from collections.abc import Iterator

import numpy as np

from edgebert.exporters.checkpoint import Array
from edgebert.exporters.quantize import Range

Ranges = dict[str, Range]

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

    def choices(self) -> Iterator[Ranges]:
        """Yield each unit's range: from end to end, without the rarest values, and with the least squared error."""
        samples = {unit: np.concatenate(drawn) for unit, drawn in self._samples.items()}
        yield self._whole
        ends = [_PERCENTILE, 100 - _PERCENTILE]
        yield {unit: Range.of(np.percentile(sample, ends)) for unit, sample in samples.items()}
        yield {unit: _of_least_error(whole, samples[unit]) for unit, whole in self._whole.items()}


def _of_least_error(whole: Range, sample: Array) -> Range:
    parts = [Range(whole.low * float(part), whole.high * float(part)) for part in _SHRINKS]
    return min(parts, key=lambda part: float(np.square(part.rounded(sample) - sample).mean()))
