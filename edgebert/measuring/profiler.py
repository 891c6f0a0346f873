"""Profiles a bundle on this device: every sub-network in fresh processes, in rounds, so that drift hits all alike."""

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edgebert.engines.session import engine_of, engine_versions, way_filter
from edgebert.errors import ProfileError, listed
from edgebert.inputs.bundle import Bundle
from edgebert.machine import canary
from edgebert.machine.canary import Reading
from edgebert.machine.device import this_device
from edgebert.machine.limits import Limits
from edgebert.measuring import profile_cache
from edgebert.measuring.device_profile import DeviceProfile, LeftOut, ProfiledSubnet
from edgebert.measuring.known_ways import MAX_THREADS_PER_CORE
from edgebert.measuring.latency_statistics import is_known, profiled_subnet
from edgebert.measuring.profile_settings import ProfileSettings, settings_for
from edgebert.measuring.stability import is_calm, stability_of
from edgebert.measuring.trial import Died, Measurement, Trial, measure_apart
from edgebert.measuring.trial_journal import TrialJournal, TrialRecord, measurements_in
from edgebert.measuring.ways import (
    Combination,
    MediansByWay,
    combinations,
    cures_of,
    hopeless_ways,
    usual_batch_sizes,
    ways_to_measure,
)
from edgebert.progress import Progress, no_progress
from edgebert.subnet import Precision, Way, WayFilter
from edgebert.version import __version__

logger = logging.getLogger(__name__)

# Three are enough in a quiet minute; the machine's two speeds took 7 to 10 (benchmarks/profile_time.py).
_MAX_ROUNDS = 10
# The short look that finds hopeless ways is a round of its own in the journal, before the first.
_LOOK, _LOOK_RUNS, _LOOK_SECONDS = 0, 5, 0.05

# How long a device is looked at before a doubtful profile is measured again, which is not done more often than so.
_GLANCE_S, _PATIENCE_S = 0.1, 20

Watch = Callable[[int], AbstractContextManager[list[Reading]]]


def profile(
    bundle: Bundle | str | Path | None = None,
    *,
    lengths: Sequence[int] | None = None,
    batch_sizes: Sequence[int] | None = None,
    threads: int | None = None,
    provider: str | None = None,
    engines: Sequence[str] | None = None,
    subnets: Sequence[str] | None = None,
    quick: bool = False,
    requests_per_s: float | None = None,
    emulate: Limits | None = None,
    on_progress: Progress = no_progress,
) -> DeviceProfile:
    """Measure load time, latency, memory and numerics of a bundle's sub-networks on this device.

    Every sub-network is measured with every engine, flavor of graph and thread count that is worth it, unless
    `provider`, or several `engines`, and `threads` say which. Without `lengths`, 16, 64 and 128 tokens as far as the
    bundle takes them, and its longest input; engines that gain by it have a network for each of `lengths`. Without
    `batch_sizes` those that suit the engine asked for: 1, 8 and 32 for `cuda`, 1 for others. `quick` measures for about
    5 s, in one round and one way. Requests come back to back, or `requests_per_s` of them. `emulate` imposes the limits
    of a smaller machine. `on_progress` is called after each measurement. A profiling that was killed goes on where it
    was; a complete profile is cached for `load` and `select`, and one of some sub-networks or ways is added to the
    cached one.

    Raises:
        BundleError: the bundle is damaged, or has no such sub-network.
        ProfileError: a length, batch size or pace that cannot be measured, or nothing could be measured.
        EdgeBertError: there is no such engine here, or threads out of range.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    asked = way_filter(provider, threads, engines)
    most = MAX_THREADS_PER_CORE * this_device().usable_cores
    if asked.threads and asked.threads > most:
        raise ProfileError(f"expected at most {most} threads on this machine, found {threads}; lower --threads")
    settings = settings_for(
        bundle,
        lengths=lengths,
        batch_sizes=batch_sizes or usual_batch_sizes(asked),
        quick=quick,
        requests_per_s=requests_per_s,
        emulate=emulate,
    )
    chosen = [bundle.subnet(one) for one in dict.fromkeys(subnets)] if subnets else bundle.manifest.subnetworks
    ways = list(ways_to_measure(asked, settings.max_threads, quick=quick))
    # Only who says which lengths there are wants networks for these: all else would be padded.
    known = {"lengths": _with_longest(settings.lengths, bundle), "batch_sizes": settings.batch_sizes} if lengths else {}
    pairs = combinations(chosen, ways, reduce_range=bundle.manifest.reduce_range, quick=quick, **known)

    with profile_cache.measuring_alone():
        return _measured(bundle, settings, pairs, on_progress, quick=quick, keep_engines=asked.engines is not None)


def _with_longest(lengths: Sequence[int], bundle: Bundle) -> tuple[int, ...]:
    """Return lengths and that of the longest input, so that there is a network for every text."""
    return tuple(sorted({*lengths, bundle.manifest.max_length}))


def _measured(
    bundle: Bundle,
    settings: ProfileSettings,
    pairs: Sequence[Combination],
    on_progress: Progress = no_progress,
    *,
    quick: bool,
    keep_engines: bool = False,
    beside_app: bool = False,
) -> DeviceProfile:
    """Measure and cache a profile; no other process measures meanwhile."""
    journal = TrialJournal(profile_cache.journal_path(bundle, settings, [one.key for one in pairs]))
    beside = functools.partial(Profiling, watch=functools.partial(canary.watching, beside_app=True))
    profiling = (beside if beside_app else Profiling)(bundle, settings, journal, on_progress)
    found = profiling.run(pairs, keep_engines=keep_engines)
    if found.stability.warning:
        logger.warning("unstable: %s", found.stability.warning)
    # In this order: who is killed in between has measured nothing in vain.
    profile_cache.keep(found, bundle, quick=quick)
    journal.remove()
    return found


def profile_of(
    bundle: Bundle, batch_size: int, asked: WayFilter, *, in_use: DeviceProfile | None = None
) -> DeviceProfile:
    """Return the cached profile of a bundle on this device, or measure a quick one of what it lacks and cache it.

    One that is doubtful is measured again if the device is calm. `in_use` is the one that an app in this process
    chooses by: it stands in for a cache that cannot be written, and the app has to be calm too.

    Raises:
        ProfileError: nothing could be measured.
    """
    beside_app = in_use is not None
    cached = profile_cache.find(bundle, batch_size) or in_use
    if cached is not None and cached.holds(asked) and not _is_to_heal(cached, beside_app):
        if cached.is_doubtful and not beside_app:
            what = "the quick profile is doubtful, and measured again when the device is calm"
            logger.warning("%s: %s", what, cached.stability.warning)
        return cached
    with profile_cache.measuring_alone() as waited:
        # Who waited for another process finds what that one measured.
        if waited:
            cached = profile_cache.find(bundle, batch_size)
            if cached is not None and cached.holds(asked):
                return cached
        _warn_of_look(bundle, cached, asked)
        lengths, batch_sizes = None, tuple(sorted({1, batch_size}))
        if cached is not None:
            lengths, batch_sizes = cached.settings.lengths, cached.settings.batch_sizes
        settings = settings_for(bundle, lengths=lengths, batch_sizes=batch_sizes, quick=True)
        ways = list(ways_to_measure(asked, settings.max_threads, quick=True))
        if cached is not None and cached.is_doubtful:
            # All that it holds, so that nothing doubtful is left.
            ways = list(dict.fromkeys([*ways, *(entry.way.plain for entry in cached.subnetworks)]))
        manifest = bundle.manifest
        pairs = combinations(manifest.subnetworks, ways, reduce_range=manifest.reduce_range, quick=True)
        measured = _measured(bundle, settings, pairs, quick=True, beside_app=beside_app)
    # What was cached before may hold more; where it cannot be added to, what was measured serves this once.
    cached = profile_cache.find(bundle, batch_size)
    return cached if cached is not None and cached.holds(asked) else measured


def _is_to_heal(cached: DeviceProfile, beside_app: bool) -> bool:
    """Return whether a profile is doubtful and the device calm now, after a glance at it of a tenth of a second."""
    if not cached.is_doubtful or _age_s(cached) < _PATIENCE_S:
        return False
    with canary.watching(cached.settings.threads, beside_app=beside_app) as readings:
        time.sleep(_GLANCE_S)
    return is_calm(readings[0], cached.stability.readings)


def _age_s(found: DeviceProfile) -> float:
    return abs((datetime.now(UTC) - datetime.fromisoformat(found.created_at)).total_seconds())


def _warn_of_look(bundle: Bundle, cached: DeviceProfile | None, asked: WayFilter) -> None:
    """Say why a quick profile is measured: it takes seconds."""
    name = f"bundle '{bundle.manifest.name}'"
    if cached is not None and cached.holds(asked):
        what = f"the quick profile of {name} is doubtful ({cached.stability.warning})"
        logger.warning("%s, and the device calm now: measuring it again", what)
    else:
        what = name + (f" on {asked}" if cached else "")
        logger.warning("no profile of %s on this device yet: measuring a quick one", what)


class Profiling:
    """One run of the profiler over some sub-networks and ways."""

    def __init__(
        self,
        bundle: Bundle,
        settings: ProfileSettings,
        journal: TrialJournal,
        on_progress: Progress = no_progress,
        *,
        measure: Callable[[Trial], Measurement | Died] = measure_apart,
        watch: Watch = canary.watching,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Take what to measure and how; what makes the trials, watches the machine and tells the time in seconds."""
        self._bundle, self._settings, self._journal, self._on_progress = bundle, settings, journal, on_progress
        self._measure, self._watch, self._clock = measure, watch, clock
        self._left_out: list[LeftOut] = []
        self._done = 0

    def run(self, pairs: Sequence[Combination], *, keep_engines: bool = False) -> DeviceProfile:
        """Measure all that are worth it and return the profile.

        With `keep_engines` those are worth it too that are nowhere faster than the first.

        Raises:
            BundleError: the bundle is damaged.
            ProfileError: nothing could be measured.
        """
        records = self._run_rounds(self._worthwhile(pairs, keep_engines))
        wrong = _wrong_arithmetic(records)
        cures = cures_of(one for one in records if one.arithmetic in wrong)
        if cures:
            logger.warning("outputs are wrong here: trying %s", listed(sorted({str(one.way) for one in cures})))
            records |= self._run_rounds(cures)
        if not records:
            raise ProfileError("no sub-network could be measured here; see the warnings above")
        return DeviceProfile(
            schema_version=DeviceProfile.VERSION,
            bundle_sha256=self._bundle.sha256,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            edgebert_version=__version__,
            engine_versions=engine_versions(sorted({one.way.engine for one in records})),
            device=this_device(),
            settings=self._settings,
            subnetworks=self._entries(records),
            left_out=tuple(self._left_out),
            stability=stability_of(records.values(), self._settings),
        )

    def _entries(self, records: Mapping[Combination, Sequence[TrialRecord]]) -> tuple[ProfiledSubnet, ...]:
        """Return what was measured of each sub-network in each way."""
        entries, wrong = [], _wrong_arithmetic(records)
        for one, of_one in records.items():
            pays = engine_of(one.way.engine).NEW_SHAPES_COST
            entry = profiled_subnet(*one.key, measurements_in(of_one), self._settings, new_shapes_cost=pays)
            entries.append(msgspec.structs.replace(entry, numerics_ok=one.arithmetic not in wrong))
        return tuple(entries)

    def _worthwhile(self, pairs: Sequence[Combination], keep_engines: bool) -> list[Combination]:
        """Return the combinations without the hopeless ways of each precision."""
        # By precision, since each has products of its own: what is slow for one may be fast for another.
        reasons: dict[Combination, str] = {}
        for precision in dict.fromkeys(one.subnet.precision for one in pairs):
            alike = [one for one in pairs if one.subnet.precision == precision]
            if len({one.way for one in alike}) > 1:
                found = hopeless_ways(self._look_at(alike), keep_engines=keep_engines)
                for way, reason in found.items():
                    logger.info("%s (%s) is left out: %s", precision, way, reason)
                    reasons |= {one: reason for one in alike if one.way == way}

        self._left_out += [LeftOut(*one.key, reasons[one]) for one in pairs if one in reasons]
        return [one for one in pairs if one not in reasons]

    def _look_at(self, pairs: Sequence[Combination]) -> list[MediansByWay]:
        """Return the medians of a short look at the largest and the smallest network, in all ways."""
        by_size = sorted(pairs, key=lambda one: one.subnet.parameters)
        networks: list[MediansByWay] = []
        # What is slow for both of them is taken to be slow for all between.
        for subnet_id in dict.fromkeys((by_size[-1].subnet.id, by_size[0].subnet.id)):
            records = [self._record(_LOOK, one) for one in pairs if one.subnet.id == subnet_id]
            # What is wrong rules out nothing, however fast it is.
            measured = [(one.way, one.result) for one in records if isinstance(one.result, Measurement)]
            networks.append({way: result.medians_ms for way, result in measured if result.numerics.ok})
        return networks

    def _run_rounds(self, pairs: Sequence[Combination]) -> dict[Combination, list[TrialRecord]]:
        """Return what was measured, a record a round; what failed is left out with a warning."""
        records: dict[Combination, list[TrialRecord]] = {one: [] for one in pairs}
        min_rounds, max_seconds = self._settings.min_rounds, self._settings.max_seconds * len(pairs)
        start = self._clock()
        for this_round in range(1, _MAX_ROUNDS + 1):
            unsettled = [one for one in records if not self._is_settled(records[one])]
            # Late by one round at most: time is asked for between rounds, so that each is whole.
            if not unsettled or (this_round > min_rounds and self._clock() - start > max_seconds):
                break

            total = self._done + len(unsettled) + len(pairs) * max(0, min_rounds - this_round)
            # Each round starts elsewhere: each is early, midway and late once, which evens out a machine that gets
            # slower by and by, and its rounds lie so far apart that a slow stretch does not hit two of them.
            start_at = len(unsettled) * (this_round - 1) // min_rounds % len(unsettled)
            for one in unsettled[start_at:] + unsettled[:start_at]:
                record = self._record(this_round, one)
                if isinstance(record.result, Died):
                    logger.warning("%s is left out: %s", one, record.result.reason)
                    self._left_out.append(LeftOut(*one.key, record.result.reason))
                    del records[one]
                else:
                    records[one].append(record)
                self._done += 1
                self._on_progress(self._done, total, one.subnet.id)

        return records

    def _is_settled(self, records: Sequence[TrialRecord]) -> bool:
        """Return whether rounds enough agree, and all medians are known as well as was asked for."""
        min_rounds = self._settings.min_rounds
        # A quick profile makes do with what one round gives.
        return len(records) >= min_rounds and (min_rounds == 1 or is_known(measurements_in(records), self._settings))

    def _record(self, this_round: int, one: Combination) -> TrialRecord:
        """Return what comes of a trial, from the journal if it was made before."""
        settings = self._settings
        if this_round == _LOOK:
            settings = msgspec.structs.replace(settings, min_runs=_LOOK_RUNS, min_seconds=_LOOK_SECONDS)
        known = self._journal.find(this_round, *one.key)
        # What is shorter than was asked for is no such trial, whoever wrote it down.
        if known is not None and (isinstance(known.result, Died) or known.result.is_of(settings)):
            return known
        with self._watch(settings.threads) as readings:
            result = self._measure(Trial(str(self._bundle.path), self._bundle.sha256, *one.key, settings))
        record = TrialRecord(this_round, *one.key, readings[0], result)
        self._journal.add(record)
        return record


def _wrong_arithmetic(records: Mapping[Combination, Sequence[TrialRecord]]) -> set[tuple[Precision, Way]]:
    """Return the precisions and ways that missed the golden outputs of a network."""
    # Of all networks then: in a deep one, roundings that fall the other way hide what is wrong in every product.
    return {
        one.arithmetic
        for one, of_one in records.items()
        if not all(measured.numerics.ok for measured in measurements_in(of_one))
    }
