"""Which ways of running a network are worth measuring: all that are there, less those that a short look rules out."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec

from edgebert.engines.engine import Engine
from edgebert.engines.session import default_way, engine_of, engines_here
from edgebert.errors import ProfileError
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.subnet import Precision, Way, WayFilter

# How many times the latency of the best way rules a way out, if it is so for every network and shape looked at.
_HOPELESS = 2.0
# How many times faster a flavor that is not the engine's own must be: a short look is no more exact.
_GAINS = 1.03
# How many times faster settings other than the usual ones must be.
_OPTIONS_GAIN = 1.03
# How many times faster another engine than the first must be at one shape at least: each takes minutes of measuring.
_ENGINE_GAINS = 1.05

# The median latencies of one network in each way, shape by shape.
MediansByWay = Mapping[Way, Sequence[float]]


@dataclass(frozen=True, eq=False)
class Combination:
    """A sub-network and a way to run it; there is one of each, so that it can be told from others by identity."""

    subnet: ExportedSubnet
    way: Way

    @property
    def key(self) -> tuple[str, Way]:
        """What it is called in journals and profiles."""
        return self.subnet.id, self.way

    @property
    def arithmetic(self) -> tuple[Precision, Way]:
        """What decides whether its outputs are right, beside the weights."""
        return self.subnet.precision, self.way

    def __str__(self) -> str:
        return f"{self.subnet.id} ({self.way})"


def ways_to_measure(asked: WayFilter, max_threads: int, *, quick: bool) -> Iterator[Way]:
    """Yield the ways to run a network: all that are there, or with `quick` the usual one of each engine asked for."""
    if quick:
        for name in asked.engines or (None,):
            way = default_way(name, asked.threads)
            # One that is asked for is taken as it is; that of this machine may be more than an emulated one has.
            yield way if asked.threads else msgspec.structs.replace(way, threads=min(way.threads, max_threads))
        return

    for engine in map(engine_of, asked.engines) if asked.engines else engines_here():
        counts = [asked.threads] if asked.threads else [n for n in engine.thread_counts() if n <= max_threads]
        for device, threads, flavor in itertools.product(engine.devices(), counts, engine.FLAVORS):
            yield Way(engine=engine.NAME, device=device, flavor=flavor, threads=threads, options=())


def usual_batch_sizes(asked: WayFilter) -> tuple[int, ...]:
    """Return the batch sizes to measure where nobody says which: those that suit the one engine asked for."""
    return engine_of(asked.engines[0]).BATCH_SIZES if asked.engines and len(asked.engines) == 1 else Engine.BATCH_SIZES


def combinations(
    subnets: Iterable[ExportedSubnet],
    ways: Iterable[Way],
    *,
    reduce_range: bool = False,
    quick: bool = False,
    lengths: Sequence[int] = (),
    batch_sizes: Sequence[int] = (),
) -> list[Combination]:
    """Return each sub-network in each way that it can be run in, with all settings worth trying, or the usual ones.

    `reduce_range` is whether the int8 weights have 7 bits; requests have these `lengths` and `batch_sizes`, or any.

    Raises:
        ProfileError: there is none.
    """
    subnets, ways, found = list(subnets), list(ways), []
    for subnet, way in itertools.product(subnets, ways):
        engine = engine_of(way.engine)
        if way.flavor in subnet.graphs and engine.takes(subnet.precision):
            usual, *others = engine.options(
                subnet.precision, reduce_range=reduce_range, lengths=lengths, batch_sizes=batch_sizes
            )
            for options in [usual] if quick else [usual, *others]:
                found.append(Combination(subnet, msgspec.structs.replace(way, options=options)))
    if not found:
        engines, precisions = (
            " and ".join(sorted(names))
            for names in ({way.engine for way in ways}, {subnet.precision for subnet in subnets})
        )
        raise ProfileError(
            f"{engines} is no engine for {precisions}; choose another provider or export more precisions"
        )
    return found


def cures_of(pairs: Iterable[Combination]) -> list[Combination]:
    """Return sub-networks, found to be computed wrong in some ways, with the settings that may help."""
    return [
        Combination(one.subnet, msgspec.structs.replace(one.way, options=options))
        for one in pairs
        for options in engine_of(one.way.engine).cures()
        if not one.way.options
    ]


def hopeless_ways(networks: Sequence[MediansByWay], *, keep_engines: bool = False) -> dict[Way, str]:
    """Return the ways that are not worth it, and why, from a short look at some networks of one precision.

    With `keep_engines` an engine is kept that is nowhere faster than the first one.
    """
    hopeless = {}
    # A way that a trial died in is missing there: it is judged by the networks that it ran.
    for way in dict.fromkeys(itertools.chain.from_iterable(networks)):
        looked_at = [medians for medians in networks if way in medians]
        slower = [times for medians in looked_at for times in _times_best(medians[way], medians.values())]
        # Somewhat slower is not enough: fewer threads leave cores to others.
        if min(slower) >= _HOPELESS:
            hopeless[way] = f"{min(slower):.1f} to {max(slower):.1f} times as slow as the fastest way"
            continue

        gains = [times for medians in looked_at for times in _times_first_engine(way, medians)]
        if gains and not keep_engines and min(gains) > 1 / _ENGINE_GAINS:
            hopeless[way] = f"nowhere faster than another engine, at best {min(gains):.2f} times as slow"
            continue

        usual = [times for medians in looked_at for times in _times_usual_options(way, medians)]
        if usual and _typical(usual) > 1 / _OPTIONS_GAIN:
            hopeless[way] = f"{_typical(usual):.2f} times as slow as with the usual settings"
            continue

        beside = [times for medians in looked_at for times in _times_other_flavors(way, medians)]
        if not beside:
            continue
        times_slower = _typical(beside)
        is_own = way.flavor == engine_of(way.engine).FLAVORS[0]
        if times_slower > (_GAINS if is_own else 1 / _GAINS):
            hopeless[way] = f"{times_slower:.2f} times as slow as the other flavor"
    return hopeless


def _times_other_flavors(way: Way, medians: MediansByWay) -> list[float]:
    """Return how many times slower a way is than those that differ from it in the flavor alone."""
    alike = (other for other in medians if msgspec.structs.replace(other, flavor=way.flavor) == way)
    others = [medians[other] for other in alike if other != way]
    return _times_best(medians[way], others) if others else []


def _times_usual_options(way: Way, medians: MediansByWay) -> list[float]:
    """Return how many times slower a way is than the same one with the engine's usual settings."""
    usual = msgspec.structs.replace(way, options=())
    return _times_best(medians[way], [medians[usual]]) if way.options and usual in medians else []


def _typical(times_slower: Iterable[float]) -> float:
    """Return the median of ratios."""
    # Of logarithms: the median of an even number of ratios is then 1 over that of the inverse ones, so that exactly
    # one of two flavors is left, whichever is taken first.
    return math.exp(median(map(math.log, times_slower)))


def _times_first_engine(way: Way, medians: MediansByWay) -> list[float]:
    """Return how many times slower a way of another engine is than the best of the first one on as many threads."""
    first = next(iter(medians)).engine
    others = [medians[other] for other in medians if (other.engine, other.threads) == (first, way.threads)]
    return _times_best(medians[way], others) if others and way.engine != first else []


def _times_best(own_ms: Sequence[float], all_ms: Iterable[Sequence[float]]) -> list[float]:
    """Return how many times slower one is than the best of all, shape by shape."""
    best_ms = [min(of_shape) for of_shape in zip(*all_ms, strict=True)]
    return [own / best for own, best in zip(own_ms, best_ms, strict=True)]
