"""Stands in for trials and for the machine in tests of the profiler: takes no time and finds what it is told."""

import contextlib
from collections.abc import Callable, Iterator

from edgebert.machine.canary import Reading
from edgebert.measuring.numerics import Numerics
from edgebert.measuring.trial import Measurement, Trial

# The smallest and the largest sub-network of the built-in bundle.
TWO = ("w0.25-d0.50-int8-static", "w1.00-d1.00-int8-static")
# Of a machine that shows neither its clock nor its heat.
READING = Reading(
    canary_ms=10.0, others_share=0.0, clock_mhz=None, clock_share=None, temperature_c=None, is_throttled=None
)
RIGHT = Numerics(drift=0.0, tolerance=1.0, wrong_answers=0)
WRONG = Numerics(drift=2.0, tolerance=1.0, wrong_answers=0)


def measurement(
    *medians_ms: float, samples: int = 30, numerics: Numerics = RIGHT, new_shape_ms: float = 0.0
) -> Measurement:
    """Return a measurement with these latencies, one for each shape."""
    return Measurement(
        load_ms=1.0,
        first_ms=1.0,
        new_shape_ms=new_shape_ms,
        peak_memory_mb=1.0,
        steady_memory_mb=1.0,
        private_memory_mb=1.0,
        numerics=numerics,
        samples_ms=tuple((ms,) * samples for ms in medians_ms),
    )


class FakeTrials:
    """Finds the latency that is given for a trial, made for the nth time; `made` are the sub-networks measured."""

    def __init__(self, latency_ms: Callable[[Trial, int], float] = lambda trial, before: 1.0):
        self._latency_ms = latency_ms
        self.made: list[str] = []

    def __call__(self, trial: Trial) -> Measurement:
        before = self.made.count(trial.subnet)
        self.made.append(trial.subnet)
        return measurement(*(self._latency_ms(trial, before) for _ in trial.settings.shapes))


@contextlib.contextmanager
def quiet_machine(threads: int) -> Iterator[list[Reading]]:
    """Find the machine quiet."""
    yield [READING]
