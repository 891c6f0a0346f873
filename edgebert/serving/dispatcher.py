"""Sends each batch to the best loaded network that is on time as the device is now."""

import logging
import math
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from edgebert.choosing.cascade import Cascade, best_cascade
from edgebert.choosing.menu import Menu, Option
from edgebert.choosing.selection import Budget
from edgebert.engines.engine import Session
from edgebert.inputs.batches import Batch
from edgebert.inputs.bundle import Answers, Bundle
from edgebert.inputs.tokenization import pad
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.serving.governor import Governor
from edgebert.serving.residents import Key, Residents
from edgebert.tasks.task import Outputs, Task
from edgebert.tasks.tasks import task_in

logger = logging.getLogger(__name__)

# Of the share of late requests that the percentile allows (benchmarks/runtime_load.py).
_STAY, _STEP_UP = 0.75, 0.4


def run(session: Session, batch: Batch, pad_to: Sequence[int] = ()) -> Outputs:
    """Return the outputs of a batch by name, each (texts, ...)."""
    return session.run(pad(batch.tokens, session.input_names, pad_to))


class Dispatcher:
    """Chooses and runs networks by a profile; one thread at a time."""

    def __init__(
        self, bundle: Bundle, profile: DeviceProfile, budget: Budget, residents: Residents, governor: Governor
    ):
        self.profile = _without_idle_pools(profile, residents.loaded())
        self._menu, self._residents, self._governor = Menu(bundle, self.profile, budget), residents, governor
        self.cascade: Cascade | None = None
        self._task: Task = task_in(bundle.manifest)
        self._percentile = budget.percentile
        self._start_s = self._networks_ms = 0.0
        self._late_share, self._tolerance = 1 - budget.percentile / 100, budget.tolerance
        self._last_quality = 0.0
        # What is chosen when nothing else is on time is there from the start.
        options = self._menu.options(1, budget.length or bundle.manifest.max_length)
        able = [option for option in options if residents.fits(option.key, option.entry.peak_memory_mb)]
        if able:
            fastest = min(able, key=lambda option: option.bound_ms).entry
            residents.load(fastest.key, fastest.peak_memory_mb)

    def use_cascade(self, answers: Answers, budget: Budget, quality: float, length: int) -> None:
        """Answer by two networks in a row from now on, if two are as good as asked for less on average."""
        self.cascade = best_cascade(
            answers,
            self._menu.options(1, length),
            quality=quality,
            latency_ms=budget.latency_ms,
            memory_mb=budget.memory_mb,
        )
        if self.cascade is None:
            logger.warning("no two networks together are as good as one for less: there is no cascade")
            return
        for option in (self.cascade.first, self.cascade.second):
            self._residents.load(option.key, option.entry.peak_memory_mb)

    def fastest_ms(self, batch: Batch) -> float:
        """Return what a batch should take at most on a quiet device; infinite if nothing can be promised."""
        return min((option.bound_ms for option in self._menu.options(*batch.shape)), default=math.inf)

    def run(self, batch: Batch, allowed_ms: float) -> tuple[str, Outputs]:
        """Answer a batch that may take so long; return the name of the network that did, and its outputs.

        Its answers must be `finished` before the next is run.
        """
        self._start_s, self._networks_ms = time.perf_counter(), 0.0
        allowed_ms -= self._governor.overhead_ms
        if self.cascade is not None and self._both_ms(self.cascade, batch) <= allowed_ms:
            return self._run_cascade(self.cascade, batch, allowed_ms)
        option = self._choose(self._menu.options(*batch.shape), allowed_ms)
        self._last_quality = option.quality
        return option.entry.id, self._run(option.entry, batch, option.expected_ms)

    def finished(self) -> None:
        """Hear that the answers of the last batch are ready."""
        self._governor.observe_overhead((time.perf_counter() - self._start_s) * 1000 - self._networks_ms)

    def _run(self, entry: ProfiledSubnet, batch: Batch, expected_ms: float) -> Outputs:
        session = self._residents.get(entry.key)
        assert session is not None
        start = time.perf_counter()
        outputs = run(session, batch, entry.pad_to)
        observed_ms = (time.perf_counter() - start) * 1000
        self._networks_ms += observed_ms
        self._governor.observe(entry.way, expected_ms, observed_ms)
        return outputs

    def _both_ms(self, cascade: Cascade, batch: Batch) -> float:
        """Return what a batch should take at most if both networks are asked."""
        size, length = batch.shape
        bounds = (one.entry.cost.bound_ms(length, size, self._percentile) for one in (cascade.first, cascade.second))
        return sum(math.inf if bound is None else bound for bound in bounds)

    def _run_cascade(self, cascade: Cascade, batch: Batch, allowed_ms: float) -> tuple[str, Outputs]:
        """Ask the second network about what the first is not sure of, if there is time left for it."""
        start = time.perf_counter()
        first, second = cascade.first.entry, cascade.second.entry
        size, length = batch.shape
        outputs = self._run(first, batch, first.cost.expected_ms(length, size))
        confidences = self._task.confidences(outputs)
        unsure = [] if confidences is None else np.flatnonzero(confidences < cascade.threshold).tolist()
        if not unsure:
            return first.id, outputs
        rest = batch.part(unsure)
        expected_ms = second.cost.expected_ms(rest.length, len(rest.places))
        left_ms = allowed_ms - (time.perf_counter() - start) * 1000
        if self._governor.share_late(second.way, expected_ms, left_ms) > self._late_share:
            return first.id, outputs
        for name, values in self._run(second, rest, expected_ms).items():
            outputs[name][unsure] = values
        return second.id, outputs

    def _choose(self, options: Sequence[Option], allowed_ms: float) -> Option:
        """Return the best of the loaded networks, and have a better one loaded that would be on time."""
        on_time: list[Option] = []
        wanted: Option | None = None
        for option in options:
            if on_time and option.quality < on_time[0].quality - self._tolerance - 1e-9:
                break
            if not self._is_on_time(option, allowed_ms):
                continue
            if self._is_loaded(option):
                on_time.append(option)
            elif wanted is None and not on_time:
                wanted = self._wanted(option)
        if on_time:
            return min(on_time, key=lambda option: option.bound_ms)
        # Nothing will surely be on time: the least late, and the fastest of those.
        loaded = [option for option in options if self._is_loaded(option)]
        return min(loaded, key=lambda option: (self._share_late(option, allowed_ms), option.bound_ms))

    def _is_on_time(self, option: Option, allowed_ms: float) -> bool:
        if option.bound_ms > allowed_ms:
            return False
        # Less than is allowed, since the next disturbance is not known yet; and up again only when it is clear that it
        # will be on time, else choices would flicker.
        is_step_up = option.quality > self._last_quality
        return self._share_late(option, allowed_ms) <= self._late_share * (_STEP_UP if is_step_up else _STAY)

    def _share_late(self, option: Option, allowed_ms: float) -> float:
        return self._governor.share_late(option.way, option.expected_ms, allowed_ms)

    def _is_loaded(self, option: Option) -> bool:
        return self._residents.get(option.key) is not None

    def _wanted(self, option: Option) -> Option | None:
        """Have a network loaded in the background, if there may be room for it."""
        if not self._residents.fits(option.key, option.entry.peak_memory_mb):
            return None
        self._residents.want(option.key, option.entry.peak_memory_mb)
        return option


def _without_idle_pools(profile: DeviceProfile, loaded: Sequence[Key]) -> DeviceProfile:
    """Return a profile without the networks that would bring more pools of threads, if there are any without a pool.

    The threads of a pool spin for a while after a request: idle networks would slow the active one. On one thread a
    network runs in its caller's.
    """
    if all(entry.way.threads > 1 for entry in profile.subnetworks):
        return profile
    entries = tuple(entry for entry in profile.subnetworks if entry.way.threads == 1 or entry.key in loaded)
    return msgspec.structs.replace(profile, subnetworks=entries)
