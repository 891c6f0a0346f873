"""Who chooses the network for a request: the choice made at load time, or a dispatcher that knows the time.

Knows budgets and the profile; runs nothing itself.
"""

import math
import time
from collections.abc import Callable, Sequence

import msgspec

from edgebert.choosing.cascade import Cascade
from edgebert.choosing.selection import Selection, select
from edgebert.errors import BudgetError, BundleError
from edgebert.inputs.batches import Batch
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.serving.chooser import Chooser, FixedChoice
from edgebert.serving.dispatcher import Dispatcher
from edgebert.serving.governor import Governor
from edgebert.serving.residents import Residents
from edgebert.serving.time_limit import TimeLimit
from edgebert.subnet import Way
from edgebert.tasks.tasks import task_in


class Policy:
    """Gives each request a chooser and a time limit; one thread at a time, but for what it says before any request.

    `profile` is asked for the profile when the first request needs a choice of its own; without it the choice made at
    load time stands for every request.
    """

    def __init__(
        self,
        bundle: Bundle,
        selection: Selection,
        residents: Residents,
        profile: Callable[[], DeviceProfile] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        """Load the network that was chosen; `clock` tells seconds."""
        self._bundle, self._selection, self._budget = bundle, selection, selection.budget
        self._residents, self._profile, self._clock = residents, profile, clock
        self._governor = Governor(clock)
        session = residents.load((selection.subnetwork, selection.way), selection.peak_memory_mb or 0.0)
        self.fixed = FixedChoice(selection.subnetwork, session, task_in(bundle.manifest))
        self._usual: Chooser = self.fixed
        self._dispatcher: Dispatcher | None = None

    @property
    def cascade(self) -> Cascade | None:
        """The two networks that answer in a row, if there are such."""
        return self._dispatcher.cascade if self._dispatcher else None

    def start(self, *, cascade: bool) -> None:
        """Have all requests answered by a cascade, or if there is a budget of latency each by the best for it.

        Raises:
            BundleError: the bundle's task has no cascade, or the bundle lacks what one is set by.
        """
        if cascade:
            self.use_cascade()
        elif self._budget.latency_ms is not None:
            self.govern()

    def govern(self) -> Dispatcher:
        """Have every request answered by the best network that is on time, and return who chooses it."""
        self._usual = dispatcher = self._dispatch()
        return dispatcher

    def use_cascade(self) -> None:
        """Have two networks answer in a row that are as good as the one that was chosen, less the tolerance.

        Raises:
            BundleError: the bundle's task has no cascade, or the bundle lacks what one is set by.
        """
        name, task = self._bundle.manifest.name, self.fixed.task
        if not task.has_cascade:
            raise BundleError(f"{task.NAME} has no cascade for the labels of bundle '{name}'; leave out cascade")
        answers = self._bundle.answers()
        if answers is None:
            raise BundleError(f"bundle '{name}' holds no answers to set a cascade by; export it with --eval")
        self.govern().use_cascade(answers, (self._selection.quality or 0.0) - self._budget.tolerance)

    def has_limit(self, latency_ms: float | None) -> bool:
        """Return whether a request that may take `latency_ms` is to be kept within any budget."""
        return latency_ms is not None or self._budget.is_limited or self._usual is not self.fixed

    def chooser_for(self, batches: Sequence[Batch], latency_ms: float | None) -> tuple[Chooser, TimeLimit]:
        """Return who answers a request's batches, and how long they may take; `latency_ms` is a budget of its own.

        Raises:
            BudgetError: a choice is needed and may not be made, or nothing would keep the budget on a quiet device.
        """
        longest, budget = batches[-1].length, self._budget
        limit = TimeLimit(budget.latency_ms or math.inf)
        is_too_long = budget.is_limited and budget.length is not None and longest > budget.length
        if latency_ms is None and not is_too_long:
            return self._usual, limit

        if self._profile is None:
            found = f"{longest} tokens for a budget of {budget.length}" if is_too_long else "a budget for one request"
            raise BudgetError(f"found {found}, but the choice is fixed; load with adaptive=True")
        dispatcher = self._dispatch()
        if latency_ms is None:
            self._check_possible(dispatcher, budget.latency_ms, longest)
            return dispatcher, limit

        fastest_ms = [dispatcher.fastest_ms(batch) for batch in batches]
        if not sum(fastest_ms) <= latency_ms:
            self._check_possible(dispatcher, latency_ms / len(batches), longest)
        return dispatcher, TimeLimit.for_call(latency_ms, fastest_ms)

    def slow_down(self, way: Way) -> float:
        """Return how many times the profiled latency the recent requests took in a way."""
        return self._governor.slow_down(way)

    def _dispatch(self) -> Dispatcher:
        """Return the dispatcher, which is made, and its profile found, when it is first needed."""
        if self._dispatcher is None:
            assert self._profile is not None
            self._dispatcher = Dispatcher(
                self._bundle, self._profile(), self._budget, self._residents, self._governor, self._clock
            )
        return self._dispatcher

    def _check_possible(self, dispatcher: Dispatcher, latency_ms: float | None, length: int) -> None:
        """Raise the BudgetError that names the nearest miss, if no network answers such a length in time."""
        asked = msgspec.structs.replace(self._budget, latency_ms=latency_ms, length=length)
        select(self._bundle, dispatcher.profile, asked)
