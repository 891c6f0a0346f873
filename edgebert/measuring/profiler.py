"""Profiles a bundle on this device: every sub-network in fresh processes, in rounds, so that drift hits all alike."""

import itertools
import logging
import math
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from edgebert.engines.session import default_way, engine_of, engine_versions, engines_here, way_filter
from edgebert.errors import BundleError, ProfileError
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.machine import canary
from edgebert.machine.canary import Reading
from edgebert.machine.device import default_threads, this_device
from edgebert.machine.limits import Limits
from edgebert.measuring import profile_cache
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import DeviceProfile, LeftOut, ProfiledSubnet, Settings, Stability
from edgebert.measuring.journal import Died, Step, StepJournal
from edgebert.measuring.trial import Failure, Measurement, Shape, Task
from edgebert.progress import Progress, no_progress
from edgebert.subnet import Precision, Way, WayFilter
from edgebert.version import __version__

logger = logging.getLogger(__name__)

_LENGTHS = (16, 64, 128)
_HOPELESS = 2.0  # times the latency of the best way, for the largest and the smallest network at every shape
_GAINS = 1.03  # times faster: a flavor that is not the provider's own must be, since a short look is no more exact
_PROBE = {"min_runs": 5, "min_seconds": 0.05}
_NEW_SHAPE_SHARE = 0.5  # of the dearest latency: a provider that pays more for a new shape is given known ones only
_MOST_ROUNDS = 10
_AGREES = 1.1  # a round's medians differ by less from those of all: some machines have two speeds, for seconds each
# What differs by more says that something else was running, or that the clock went down.
_MAX_DRIFT = 1.1  # between rounds, in the median over shapes
_MAX_CANARY_DRIFT = 1.25  # between the slowest and the fastest tenth of the readings
_MAX_OTHERS_SHARE = 0.1  # of all cores' time


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A sub-network and a way to run it; there is one of each, so it is its own key."""

    subnet: ExportedSubnet
    way: Way

    def left_out(self, reason: str) -> LeftOut:
        return LeftOut(id=self.subnet.id, way=self.way, reason=reason)


def profile(
    bundle: Bundle | str | Path | None = None,
    *,
    lengths: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1,),
    threads: int | None = None,
    provider: str | None = None,
    subnets: Sequence[str] | None = None,
    quick: bool = False,
    requests_per_s: float | None = None,
    emulate: Limits | None = None,
    on_progress: Progress = no_progress,
) -> DeviceProfile:
    """Measure load time, latency, memory and numerics of a bundle's sub-networks on this device.

    Every sub-network is measured with every provider, flavor of graph and thread count that is worth it, unless
    `provider` or `threads` say which. Without `lengths`, 16, 64 and 128 tokens as far as the bundle takes them, and its
    longest input. `quick` measures for about 5 s, in one round and one way. Requests come back to back, or
    `requests_per_s` of them. `emulate` imposes the limits of a smaller machine. `on_progress` hears of each measurement
    that is done. A profiling that was killed goes on where it was; a complete profile is cached for `load` and
    `select`, and one of some sub-networks or ways is added to the cached one.

    Raises:
        BundleError: the bundle is damaged, or has no such sub-network.
        ProfileError: a length, batch size or thread count that cannot be measured, or nothing could be measured.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    asked = way_filter(provider, threads)
    if requests_per_s is not None and not requests_per_s > 0:
        raise ProfileError(f"expected a number of requests a second above 0, found {requests_per_s}")
    settings = Settings(
        lengths=_checked("length", lengths or _default_lengths(bundle), 2, bundle.manifest.max_length),
        batch_sizes=_checked("batch size", batch_sizes, 1, 1024),
        min_rounds=1 if quick else 3,
        min_runs=10 if quick else 20,
        min_seconds=0.05 if quick else 0.3,
        max_seconds=0.5 if quick else 2.2,
        interval_share=0.02,
        requests_per_s=requests_per_s,
        emulated=emulate,
    )
    ways = list(_ways(asked, _cores(emulate), quick))
    chosen = [bundle.subnet(subnet_id) for subnet_id in subnets] if subnets else list(bundle.manifest.subnetworks)
    candidates = [
        _Candidate(subnet, way)
        for subnet in chosen
        for way in ways
        if way.flavor in subnet.graphs and engine_of(way.engine).takes(subnet.precision)
    ]
    with profile_cache.measuring_alone():
        journal = StepJournal(
            profile_cache.journal_path(bundle, settings, [(one.subnet.id, one.way) for one in candidates])
        )
        found = _Profiling(bundle, settings, journal, on_progress).run(candidates)
        if found.stability.warning:
            logger.warning("unstable: %s", found.stability.warning)
        profile_cache.keep(found, bundle, quick=quick)
        journal.remove()
    return found


def profile_of(
    bundle: Bundle,
    *,
    batch_size: int = 1,
    asked: WayFilter = WayFilter(),  # noqa: B008
) -> DeviceProfile:
    """Return the cached profile of a bundle on this device, or measure a quick one of what it lacks and cache it.

    Raises:
        ProfileError: nothing could be measured.
    """
    with profile_cache.measuring_alone():  # who waited for another process finds what that one measured
        cached = profile_cache.find(bundle, batch_size)
        if cached is not None and cached.holds(asked):
            return cached
        what = f"bundle '{bundle.manifest.name}'" + (f" on {asked}" if cached else "")
        logger.warning("no profile of %s on this device yet: measuring a quick one", what)
        profile(
            bundle,
            lengths=cached.settings.lengths if cached else None,
            batch_sizes=cached.settings.batch_sizes if cached else sorted({1, batch_size}),
            threads=asked.threads,
            provider=asked.engine,
            quick=True,
        )
        found = profile_cache.find(bundle, batch_size)
    if found is None:
        raise ProfileError("the profile that was just measured cannot be read; see the warnings above")
    return found


def check_profile(found: DeviceProfile, bundle: Bundle) -> DeviceProfile:
    """Return a profile if it is one of this bundle.

    Raises:
        ProfileError: it is another bundle's.
    """
    if found.bundle_sha256 != bundle.sha256:
        was = f"expected bundle {bundle.sha256[:12]}, found {found.bundle_sha256[:12]}"
        raise ProfileError(
            f"the profile is of another bundle ({was}); profile this one: edgebert profile {bundle.path}"
        )
    return found


class _Profiling:
    """One run of the profiler: settings, what has been measured, and who hears of it."""

    def __init__(self, bundle: Bundle, settings: Settings, journal: StepJournal, on_progress: Progress):
        self._bundle, self._settings, self._journal, self._on_progress = bundle, settings, journal, on_progress
        self._left_out: list[LeftOut] = []
        self._done = 0

    def run(self, candidates: Sequence[_Candidate]) -> DeviceProfile:
        """Measure all candidates that are worth it and return the profile."""
        candidates = self._worthwhile(candidates)
        measured = self._measure(candidates)
        settings = self._settings
        entries = {one: _entry(one, settings, [step.result for step in steps]) for one, steps in measured.items()}
        return DeviceProfile(
            schema_version=DeviceProfile.VERSION,
            bundle_sha256=self._bundle.sha256,
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            edgebert_version=__version__,
            engine_versions=engine_versions(sorted({one.way.engine for one in entries})),
            device=this_device(),
            settings=settings,
            subnetworks=tuple(entries.values()),
            left_out=tuple(self._left_out),
            stability=_stability(measured, entries, settings),
        )

    def _worthwhile(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Return the candidates without the hopeless ways, by a short look at two networks of each precision."""
        hopeless: dict[tuple[Precision, Way], str] = {}
        precisions = dict.fromkeys(one.subnet.precision for one in candidates)
        for alike in ([one for one in candidates if one.subnet.precision == precision] for precision in precisions):
            if len({one.way for one in alike}) > 1:
                hopeless |= {(alike[0].subnet.precision, way): reason for way, reason in self._hopeless(alike)}
        kept = []
        for one in candidates:
            reason = hopeless.get((one.subnet.precision, one.way))
            if reason is None:
                kept.append(one)
            else:
                self._left_out.append(one.left_out(reason))
        for (named, way), reason in hopeless.items():
            logger.info("%s (%s) is left out: %s", named, way, reason)
        return kept

    def _hopeless(self, alike: Sequence[_Candidate]) -> Iterator[tuple[Way, str]]:
        """Yield the ways that are not worth it for the largest and the smallest network, and the reason.

        Those that are far slower than the best, and of the flavors of graph the one that gains nothing. Fewer threads
        stay even if they are slower: they leave cores to others.
        """
        slower: dict[Way, list[float]] = {}
        beside: dict[Way, list[float]] = {}  # times the other flavors of the same provider and threads
        for subnet_id in {max(alike, key=_size).subnet.id, min(alike, key=_size).subnet.id}:
            tried = {one.way: self._step(0, one, **_PROBE).result for one in alike if one.subnet.id == subnet_id}
            medians = {way: _medians_ms(one) for way, one in tried.items() if isinstance(one, Measurement)}
            for way in medians:
                flavors = {other: ms for other, ms in medians.items() if _beside(way, other)}
                slower.setdefault(way, []).extend(_times_best(medians[way], medians.values()))
                beside.setdefault(way, []).extend(_times_best(medians[way], flavors.values()))
        for way, times in slower.items():
            if min(times) >= _HOPELESS:
                yield way, f"{min(times):.1f} to {max(times):.1f} times as slow as the fastest way"
            elif beside[way]:
                is_own = way.flavor == engine_of(way.engine).FLAVORS[0]
                times_slower = math.exp(median(map(math.log, beside[way])))  # of two flavors, one is left
                if times_slower > (_GAINS if is_own else 1 / _GAINS):
                    yield way, f"{times_slower:.2f} times as slow as the other flavor"

    def _measure(self, candidates: Sequence[_Candidate]) -> dict[_Candidate, list[Step]]:
        """Return each candidate's measurements, one a round; those that failed are left out with a warning."""
        measured: dict[_Candidate, list[Step]] = {one: [] for one in candidates}
        start = time.monotonic()
        for this_round in range(1, _MOST_ROUNDS + 1):
            unsettled = [one for one in measured if not self._is_settled(measured[one])]
            may_last_s = self._settings.max_seconds * len(candidates)
            if not unsettled or (this_round > self._settings.min_rounds and time.monotonic() - start > may_last_s):
                break
            total = self._done + len(unsettled) + len(candidates) * max(0, self._settings.min_rounds - this_round)
            # Each round starts elsewhere: each is early, midway and late once, which evens out a machine that gets
            # slower by and by, and its rounds lie so far apart that a slow stretch does not hit two of them.
            start_at = len(unsettled) * (this_round - 1) // self._settings.min_rounds % len(unsettled)
            for one in unsettled[start_at:] + unsettled[:start_at]:
                step = self._step(this_round, one)
                if isinstance(step.result, Died):
                    logger.warning("%s (%s) is left out: %s", one.subnet.id, one.way, step.result.reason)
                    self._left_out.append(one.left_out(step.result.reason))
                    del measured[one]
                else:
                    measured[one].append(step)
                self._done += 1
                self._on_progress(self._done, total, one.subnet.id)
        if not measured:
            raise ProfileError("no sub-network could be measured here; see the warnings above")
        return measured

    def _is_settled(self, steps: Sequence[Step]) -> bool:
        """Return whether rounds enough agree, and all medians are known as well as was asked for."""
        if len(steps) < self._settings.min_rounds:
            return False
        return self._settings.min_rounds == 1 or _is_known(steps, self._settings)

    def _step(self, this_round: int, one: _Candidate, **limits: float) -> Step:
        """Return a measurement, from the journal if it is there."""
        known = self._journal.steps.get((this_round, one.subnet.id, one.way))
        if known is not None:
            return known
        with canary.watching(_cores(self._settings.emulated)) as readings:
            result = _measure_apart(self._task(one, **limits))
        step = Step(round=this_round, subnet=one.subnet.id, way=one.way, reading=readings[0], result=result)
        self._journal.add(step)
        return step

    def _task(self, one: _Candidate, *, min_runs: float | None = None, min_seconds: float | None = None) -> Task:
        settings = self._settings
        return Task(
            bundle=str(self._bundle.path),
            subnet=one.subnet.id,
            way=one.way,
            shapes=tuple(Shape(batch_size=batch, length=length) for batch, length in settings.shapes),
            min_runs=settings.min_runs if min_runs is None else int(min_runs),
            min_seconds=settings.min_seconds if min_seconds is None else min_seconds,
            requests_per_s=settings.requests_per_s,
            limits=settings.emulated,
        )


def _measure_apart(task: Task) -> Measurement | Died:
    """Measure in a fresh process, which runs the very package that this one does."""
    done = subprocess.run(
        [sys.executable, "-m", "edgebert.measuring.trial"],
        input=msgspec.json.encode(task),
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().split("\n")[-1] or "no message"
        return Died(reason=f"its process ended with status {done.returncode} ({reason})")
    result = msgspec.json.decode(done.stdout, type=Measurement | Failure)
    if isinstance(result, Failure):
        raise (BundleError if result.of_bundle else ProfileError)(result.error)
    return result


def _entry(one: _Candidate, settings: Settings, rounds: Sequence[Measurement | Died]) -> ProfiledSubnet:
    """Return what a sub-network costs, from its measurements in all rounds."""
    found = [each for each in rounds if isinstance(each, Measurement)]
    samples = [sum(of_shape, ()) for of_shape in zip(*(each.samples_ms for each in found), strict=True)]
    latency = tuple(_latency(*shape, of_shape) for shape, of_shape in zip(settings.shapes, samples, strict=True))
    new_shape_ms = _rounded(np.median([each.new_shape_ms for each in found]))
    worst = max(found, key=lambda each: (not each.numerics.ok, each.numerics.difference))
    return ProfiledSubnet(
        id=one.subnet.id,
        way=one.way,
        load_ms=_rounded(np.median([each.load_ms for each in found])),
        first_ms=_rounded(np.median([each.first_ms for each in found])),
        new_shape_ms=new_shape_ms,
        peak_memory_mb=_rounded(max(each.peak_memory_mb for each in found)),
        steady_memory_mb=_rounded(np.median([each.steady_memory_mb for each in found])),
        private_memory_mb=_rounded(np.median([each.private_memory_mb for each in found])),
        numerics_ok=worst.numerics.ok,
        numerics=str(worst.numerics),
        pad_to=settings.lengths if _pads(one.way, new_shape_ms, latency) else (),
        latency=latency,
    )


def _pads(way: Way, new_shape_ms: float, latency: Sequence[Latency]) -> bool:
    """Return whether inputs are padded to lengths that were met, since a new one costs too much."""
    return engine_of(way.engine).NEW_SHAPES_COST and new_shape_ms > _NEW_SHAPE_SHARE * max(
        row.p50_ms for row in latency
    )


def _latency(batch_size: int, length: int, samples_ms: Sequence[float]) -> Latency:
    p50, p90, p95, p99 = (_rounded(value) for value in np.percentile(samples_ms, (50, 90, 95, 99)))
    interval = median_interval(samples_ms)
    return Latency(
        batch_size=batch_size,
        length=length,
        runs=len(samples_ms),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        p50_ci95_ms=(_rounded(interval[0]), _rounded(interval[1])),
    )


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by order statistics (normal approximation of the binomial)."""
    ordered, half = sorted(samples), 1.96 * math.sqrt(len(samples)) / 2
    low, high = math.floor(len(ordered) / 2 - half), math.ceil(len(ordered) / 2 + half)
    return ordered[max(0, low)], ordered[min(len(ordered) - 1, high)]


def interval_share(samples: Sequence[float]) -> float:
    """Return how far the 95 % interval of the median reaches from it to the worse side, as a share of it."""
    low, high = median_interval(samples)
    middle = float(np.median(samples))
    return max(high - middle, middle - low) / middle


def _stability(
    measured: dict[_Candidate, list[Step]], entries: dict[_Candidate, ProfiledSubnet], settings: Settings
) -> Stability:
    """Return how far the rounds agree, and what is wrong if they do not."""
    drifts, readings = [], []
    for steps in measured.values():
        for of_shape in zip(
            *(_medians_ms(step.result) for step in steps if isinstance(step.result, Measurement)), strict=True
        ):
            drifts.append(max(of_shape) / min(of_shape))
    steps = [step for steps in measured.values() for step in steps]
    rounds = sorted({step.round for step in steps})
    for this_round in rounds:
        readings.append(_middle([step.reading for step in steps if step.round == this_round]))
    low, high = np.percentile([step.reading.canary_ms for step in steps], (10, 90))
    unsettled = [one for one in entries if not _is_known(measured[one], settings)]
    canary_drift, median_drift = float(high / low), float(np.median(drifts))
    others_share = float(np.mean([step.reading.others_share for step in steps]))
    return Stability(
        rounds=len(rounds),
        median_drift=_rounded(median_drift),
        worst_drift=_rounded(max(drifts)),
        canary_drift=_rounded(canary_drift),
        others_share=_rounded(others_share),
        readings=tuple(readings),
        unsettled=tuple(f"{one.subnet.id} ({one.way})" for one in unsettled),
        warning=_warning(canary_drift, median_drift, others_share, readings),
    )


def _warning(canary_drift: float, median_drift: float, others_share: float, readings: Sequence[Reading]) -> str | None:
    """Return why a profile is not to be trusted and what to do, None if it is."""
    if canary_drift <= _MAX_CANARY_DRIFT and median_drift <= _MAX_DRIFT and others_share <= _MAX_OTHERS_SHARE:
        return None
    what = f"rounds differ by {median_drift:.2f}x in the median, the machine itself by {canary_drift:.2f}x"
    clocks = [reading.clock_mhz for reading in readings if reading.clock_mhz]
    if clocks and min(clocks) < 0.9 * max(clocks):
        clock = f"its clock went from {max(clocks):.0f} to {min(clocks):.0f} MHz"
        return f"{what}; {clock}: let it cool, plug it in or set its power mode, and profile again"
    if others_share > _MAX_OTHERS_SHARE:
        return f"{what}; other processes took {others_share:.0%} of it: close them and profile again"
    return f"{what}; close other programs, let it cool or set its power mode, and profile again"


def _middle(readings: Sequence[Reading]) -> Reading:
    """Return the median state of the machine."""
    clocks = [reading.clock_mhz for reading in readings if reading.clock_mhz is not None]
    temperatures = [reading.temperature_c for reading in readings if reading.temperature_c is not None]
    return Reading(
        canary_ms=_rounded(np.median([reading.canary_ms for reading in readings])),
        others_share=_rounded(np.median([reading.others_share for reading in readings])),
        clock_mhz=_rounded(np.median(clocks)) if clocks else None,
        temperature_c=_rounded(np.median(temperatures)) if temperatures else None,
    )


def _samples(steps: Sequence[Step]) -> list[tuple[float, ...]]:
    """Return the latencies of each shape in all rounds."""
    found = [step.result.samples_ms for step in steps if isinstance(step.result, Measurement)]
    return [sum(of_shape, ()) for of_shape in zip(*found, strict=True)]


def _is_known(steps: Sequence[Step], settings: Settings) -> bool:
    """Return whether all medians are known as well as was asked for, and rounds enough agree with them.

    The interval takes all samples for independent, but those of one round are alike: what slows a machine for seconds
    shows between rounds.
    """
    samples = _samples(steps)
    medians_ms = [float(np.median(of_shape)) for of_shape in samples]
    rounds = [_medians_ms(step.result) for step in steps if isinstance(step.result, Measurement)]
    agreeing = [max(_times_apart(of_round, medians_ms)) <= _AGREES for of_round in rounds]
    return sum(agreeing) >= settings.min_rounds and max(map(interval_share, samples)) <= settings.interval_share


def _times_apart(some_ms: Sequence[float], others_ms: Sequence[float]) -> list[float]:
    return [max(one, other) / min(one, other) for one, other in zip(some_ms, others_ms, strict=True)]


def _medians_ms(measurement: Measurement) -> list[float]:
    return [float(np.median(samples)) for samples in measurement.samples_ms]


def _times_best(own_ms: Sequence[float], others_ms: Iterable[Sequence[float]]) -> list[float]:
    """Return how many times slower one is than the best of others, shape by shape; nothing if there are no others."""
    best_ms = [min(of_shape) for of_shape in zip(*others_ms, strict=True)]
    return [own / best for own, best in zip(own_ms, best_ms, strict=False)]


def _beside(way: Way, other: Way) -> bool:
    return msgspec.structs.replace(way, flavor=other.flavor) == other != way


def _size(one: _Candidate) -> int:
    return one.subnet.parameters


def _cores(emulated: Limits | None) -> int:
    """Return the threads that the canary needs to feel what the measured networks feel."""
    cores = default_threads()
    return cores if emulated is None or emulated.cpus is None else min(cores, max(1, math.floor(emulated.cpus)))


def _ways(asked: WayFilter, cores: int, quick: bool) -> Iterator[Way]:
    """Yield the ways to run a network: all that are there, or with `quick` the usual one of the engine asked for."""
    if quick:
        way = default_way(asked.engine, asked.threads)
        yield way if asked.threads else msgspec.structs.replace(way, threads=min(way.threads, cores))
        return
    for engine in [engine_of(asked.engine)] if asked.engine else engines_here():
        counts = [asked.threads] if asked.threads else [count for count in engine.thread_counts() if count <= cores]
        for device, count, flavor, options in itertools.product(
            engine.devices(), counts, engine.FLAVORS, engine.OPTIONS
        ):
            yield Way(engine=engine.NAME, device=device, flavor=flavor, threads=count, options=options)


def _rounded(value: float | np.floating) -> float:
    """Return a measured value to a tenth of a microsecond or of a kilobyte: more digits would be noise."""
    return round(float(value), 4)


def _default_lengths(bundle: Bundle) -> list[int]:
    longest = bundle.manifest.max_length
    return [*(length for length in _LENGTHS if length < longest), longest]


def _checked(word: str, values: Sequence[int], least: int, most: int) -> tuple[int, ...]:
    for value in values:
        if not least <= value <= most:
            raise ProfileError(f"expected a {word} of {least} to {most}, found {value}")
    return tuple(sorted(set(values)))
