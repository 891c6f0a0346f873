"""What the samples of several rounds say: medians and how well they are known. Pure functions of numbers."""

import math
from collections.abc import Sequence

import numpy as np

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import ProfiledSubnet
from edgebert.measuring.profile_settings import ProfileSettings, Shape
from edgebert.measuring.trial import Measurement
from edgebert.subnet import Way

# Of the dearest latency: an engine that pays more than this for a new shape is given shapes that it has met only.
_NEW_SHAPE_SHARE = 0.5
# How many times a round's medians may differ from those of all rounds: some machines have two speeds, for seconds each.
_AGREES = 1.1
# Of these the median of all rounds is taken.
_MEDIAN_COUNTS = ("load_ms", "first_ms", "new_shape_ms", "steady_memory_mb", "private_memory_mb")


def profiled_subnet(
    subnet_id: str, way: Way, rounds: Sequence[Measurement], settings: ProfileSettings, *, new_shapes_cost: bool
) -> ProfiledSubnet:
    """Return what a sub-network costs in one way, from its measurements in all rounds.

    `new_shapes_cost` is whether its engine may be slow for a length that it meets for the first time.
    """
    latency = tuple(map(latency_of, settings.shapes, samples_by_shape(rounds)))
    costs = {name: rounded(np.median([getattr(each, name) for each in rounds])) for name in _MEDIAN_COUNTS}
    pays = new_shapes_cost and costs["new_shape_ms"] > _NEW_SHAPE_SHARE * max(row.p50_ms for row in latency)

    # One round with wrong numbers is enough to distrust them all.
    worst = max(rounds, key=lambda each: (not each.numerics.ok, each.numerics.drift)).numerics
    return ProfiledSubnet(
        id=subnet_id,
        way=way,
        **costs,
        # Not the median: where memory is short, one round over the limit is a process that dies.
        peak_memory_mb=rounded(max(each.peak_memory_mb for each in rounds)),
        numerics_ok=worst.ok,
        numerics=worst,
        pad_to=settings.lengths if pays or FixedShapes.of(way.options) else (),
        latency=latency,
    )


def latency_of(shape: Shape, samples_ms: Sequence[float]) -> Latency:
    """Return the percentiles of the latencies of one shape."""
    levels, (low, high) = (50, 90, 95, 99), map(rounded, median_interval(samples_ms))
    times = {f"p{level}_ms": rounded(ms) for level, ms in zip(levels, np.percentile(samples_ms, levels), strict=True)}
    return Latency(
        batch_size=shape.batch_size,
        length=shape.length,
        runs=len(samples_ms),
        runs_per_sample=1,  # no run is too short for Python's clock
        **times,
        p50_ci95_ms=(low, high),
    )


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by order statistics (normal approximation of the binomial)."""
    # How many of n samples lie below the true median is binomial with p = 1/2, so its deviation is sqrt(n) / 2.
    ordered, half = sorted(samples), 1.96 * math.sqrt(len(samples)) / 2
    low, high = math.floor(len(ordered) / 2 - half), math.ceil(len(ordered) / 2 + half)
    return ordered[max(0, low)], ordered[min(len(ordered) - 1, high)]


def interval_share(samples: Sequence[float]) -> float:
    """Return how far the 95 % interval of the median reaches from it to the worse side, as a share of it."""
    low, high = median_interval(samples)
    middle = float(np.median(samples))
    return max(high - middle, middle - low) / middle


def is_known(rounds: Sequence[Measurement], settings: ProfileSettings) -> bool:
    """Return whether all medians are known as well as was asked for, and rounds enough agree with them."""
    # The interval alone takes all samples for independent, but those of one round are alike: what slows a machine for
    # seconds shows between rounds. Before they had to agree, entries of two profiles were up to 80 % apart.
    samples = samples_by_shape(rounds)
    medians_ms = np.array([np.median(of_shape) for of_shape in samples])
    rounds_ms = np.array([each.medians_ms for each in rounds])  # (rounds, shapes)
    times_apart = np.maximum(rounds_ms / medians_ms, medians_ms / rounds_ms).max(axis=1)
    agreeing = int(np.count_nonzero(times_apart <= _AGREES))
    return agreeing >= settings.min_rounds and max(map(interval_share, samples)) <= settings.interval_share


def samples_by_shape(rounds: Sequence[Measurement]) -> list[tuple[float, ...]]:
    """Return the latencies of each shape in all rounds, in milliseconds."""
    return [sum(of_shape, ()) for of_shape in zip(*(each.samples_ms for each in rounds), strict=True)]


def rounded(value: float | np.floating) -> float:
    """Return a measured value to a tenth of a microsecond or of a kilobyte: more digits would be noise."""
    return round(float(value), 4)
