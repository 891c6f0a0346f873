"""Answers each batch with the best loaded network that is on time as the device is now."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from edgebert.choosing.cascade import Cascade, CascadeLimits, best_cascade
from edgebert.choosing.menu import Menu, Option
from edgebert.choosing.selection import Selection
from edgebert.inputs.batches import Batch
from edgebert.inputs.bundle import Answers, Bundle
from edgebert.inputs.tokenization import pad
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.serving.governor import Governor
from edgebert.serving.residents import Key, Residents
from edgebert.tasks.task import Options, Results
from edgebert.tasks.tasks import task_in, tasks_of

logger = logging.getLogger(__name__)

# The id of the sub-network that answered a batch, and the results in the order of its rows.
Answered = tuple[str, Results]

# Of the share of late requests that the percentile allows (benchmarks/runtime_load.py).
_STAY, _STEP_UP = 0.75, 0.4


@dataclass(frozen=True)
class _Ran:
    """What a network, or two of a cascade, found out about the rows of a batch, and how long it ran."""

    subnet_id: str
    results: Results
    network_ms: float


class Dispatcher:
    """Chooses and runs networks by a profile; one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        profile: DeviceProfile,
        selection: Selection,
        residents: Residents,
        governor: Governor,
    ):
        """Choose beside the network of a selection, which may have a pool of threads; nothing is loaded yet."""
        budget, chosen = selection.budget, (selection.subnetwork, selection.way)
        if selection.peak_memory_mb is None:
            # Loaded by its name, whatever it takes: that is known now, and the others have so much less.
            peaks_mb = [entry.memory_bound_mb for entry in profile.subnetworks if entry.id == selection.subnetwork]
            residents.count(chosen, max(peaks_mb, default=0.0))
        self.profile = _without_idle_pools(profile, chosen)
        self.cascade: Cascade | None = None
        self._chosen = (selection.subnetwork, selection.quality)
        self._menu, self._budget, self._task = Menu(bundle, self.profile, budget), budget, task_in(bundle.manifest)
        self._tasks = tasks_of(bundle.manifest)
        self._residents, self._governor, self._clock = residents, governor, governor.clock
        # How many requests the percentile allows to be late, of 1.
        self._late_share = 1 - budget.percentile / 100
        self._last_quality = 0.0

        self._usual_options = self._menu.options(1, budget.length or bundle.manifest.max_length)

    def load_fastest(self) -> None:
        """Load what is chosen when nothing else is on time, the fastest network that there is room for."""
        able = [one for one in self._usual_options if self._residents.fits(one.key, one.entry.memory_bound_mb)]
        if able:
            fastest = min(able, key=lambda option: option.bound_ms).entry
            self._residents.load(fastest.key, fastest.memory_bound_mb)

    def use_cascade(self, answers: Answers) -> None:
        """Answer by two networks in a row from now on, if two are surely as good as the best single one, or within the
        tolerance, for less on average.

        They may take all of the memory: nothing is to be loaded before them.
        """
        most_ms, most_mb = self._budget.latency_ms or math.inf, self._budget.memory_mb or math.inf
        within = [one for one in self._usual_options if one.bound_ms <= most_ms]
        qualities = [one.quality for one in within if one.entry.memory_bound_mb <= most_mb]
        # The chosen one, unless that has used up some of the tolerance.
        reference, quality = self._chosen
        if quality is None or quality < max(qualities, default=0.0):
            reference = next(one.entry.id for one in within if one.quality == max(qualities))
        limits = CascadeLimits(reference, self._budget.tolerance, most_ms, most_mb)
        self.cascade = best_cascade(answers, self._usual_options, limits)
        if self.cascade is None:
            what = f"no two networks together are surely within {limits.tolerance:g} of {limits.reference} for less"
            logger.warning("%s: there is no cascade; a larger tolerance may allow one", what)
            return
        low, high = self.cascade.loss_ci95
        logger.info("the cascade loses %.4f (%.4f to %.4f) on the evaluation data", self.cascade.loss, low, high)
        # No request waits for them later.
        for option in (self.cascade.first, self.cascade.second):
            self._residents.load(option.key, option.entry.memory_bound_mb)

    def fastest_ms(self, batch: Batch) -> float:
        """Return what a batch should take at most on a quiet device; infinite if nothing can be promised."""
        return min((option.bound_ms for option in self._menu.options(*batch.shape)), default=math.inf)

    def answer(self, batch: Batch, allowed_ms: float, options: Options) -> Answered:
        """Return who answered a batch that may take `allowed_ms` from now on, and the results."""
        start_s = self._clock()
        # A network alone may fill the budget of a profile: what lies around it would come on top.
        ran = self._run_in_time(batch, allowed_ms - self._governor.overhead_ms, options)
        self._governor.observe_overhead(self._ms_since(start_s) - ran.network_ms)
        return ran.subnet_id, ran.results

    def _run_in_time(self, batch: Batch, allowed_ms: float, options: Options) -> _Ran:
        if self.cascade is not None and self._both_ms(self.cascade, batch) <= allowed_ms:
            return self._run_cascade(self.cascade, batch, allowed_ms, options)
        option = self._choose(self._menu.options(*batch.shape), allowed_ms)
        self._last_quality = option.quality
        return self._run(option.entry, batch, option.expected_ms, options)

    def _run(self, entry: ProfiledSubnet, batch: Batch, expected_ms: float, options: Options) -> _Ran:
        session = self._residents.get(entry.key, entry.memory_bound_mb)
        start_s = self._clock()
        outputs = session.run(pad(batch.tokens, session.input_names, entry.pad_to))
        network_ms = self._ms_since(start_s)
        self._governor.observe(entry.way, expected_ms, network_ms)
        return _Ran(entry.id, self._tasks[entry.id].results(outputs, batch.tokens, options), network_ms)

    def _both_ms(self, cascade: Cascade, batch: Batch) -> float:
        """Return what a batch should take at most if both networks are asked."""
        size, length = batch.shape
        both, percentile = (cascade.first, cascade.second), self._budget.percentile
        bounds_ms = [option.entry.cost.bound_ms(length, size, percentile) for option in both]
        return sum(math.inf if one_ms is None else one_ms for one_ms in bounds_ms)

    def _run_cascade(self, cascade: Cascade, batch: Batch, allowed_ms: float, options: Options) -> _Ran:
        """Ask the second network about what the first is not sure of, if there is time left for it."""
        start_s = self._clock()
        first, second = cascade.first.entry, cascade.second.entry
        size, length = batch.shape
        ran = self._run(first, batch, first.cost.expected_ms(length, size), options)

        confidences = self._task.confidences(ran.results)
        unsure = [] if confidences is None else np.flatnonzero(confidences < cascade.threshold).tolist()
        if not unsure:
            return ran
        rest = batch.part(unsure)  # the others are answered, and fewer texts take less time
        expected_ms = second.cost.expected_ms(rest.length, len(rest.places))
        if self._governor.share_late(second.way, expected_ms, allowed_ms - self._ms_since(start_s)) > self._late_share:
            return ran

        ran_second = self._run(second, rest, expected_ms, options)
        results = list(ran.results)
        for row, result in zip(unsure, ran_second.results, strict=True):
            results[row] = result
        return _Ran(second.id, results, ran.network_ms + ran_second.network_ms)

    def _choose(self, options: Sequence[Option], allowed_ms: float) -> Option:
        """Return the best of the loaded networks, and have a better one loaded that would be on time."""
        on_time: list[Option] = []
        is_wanted = False
        for option in options:
            # The best come first: what follows is neither better nor, beyond the tolerance, as good.
            if on_time and option.quality < on_time[0].quality - self._budget.tolerance - 1e-9:
                break
            if not self._is_on_time(option, allowed_ms):
                continue
            memory_mb = option.entry.memory_bound_mb
            if self._residents.is_loaded(option.key):
                on_time.append(option)
            elif not on_time and not is_wanted and self._residents.fits(option.key, memory_mb):
                self._residents.want(option.key, memory_mb)
                is_wanted = True
        if on_time:
            return min(on_time, key=lambda option: option.bound_ms)

        # Nothing will surely be on time: the least late, and the fastest of those. If none is loaded any more, because
        # another thread has closed them, the one that is returned cannot be run either and says so.
        loaded = [option for option in options if self._residents.is_loaded(option.key)] or options
        return min(loaded, key=lambda option: (self._share_late(option, allowed_ms), option.bound_ms))

    def _is_on_time(self, option: Option, allowed_ms: float) -> bool:
        if option.bound_ms > allowed_ms:
            return False
        # Less than is allowed, since the next disturbance is not known yet; and up again only when it is clear that it
        # will be on time, else choices would flicker.
        is_step_up = option.quality > self._last_quality
        return self._share_late(option, allowed_ms) <= self._late_share * (_STEP_UP if is_step_up else _STAY)

    def _share_late(self, option: Option, allowed_ms: float) -> float:
        return self._governor.share_late(option.entry.way, option.expected_ms, allowed_ms)

    def _ms_since(self, start_s: float) -> float:
        return (self._clock() - start_s) * 1000


def _without_idle_pools(profile: DeviceProfile, chosen: Key) -> DeviceProfile:
    """Return a profile without the networks that would bring more pools of threads, if there are any without a pool.

    The threads of a pool spin for a while after a request: idle networks would slow the active one. On one thread a
    network runs in its caller's.
    """
    if all(entry.way.threads > 1 for entry in profile.subnetworks):
        return profile
    entries = tuple(entry for entry in profile.subnetworks if entry.way.threads == 1 or entry.key == chosen)
    return msgspec.structs.replace(profile, subnetworks=entries)
