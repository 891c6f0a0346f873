"""Who chooses the network for a request, and how long it may take: the choice of load time, or a dispatcher."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from edgebert.choosing.cascade import Cascade
from edgebert.choosing.selection import Selection, select
from edgebert.errors import BudgetError, BundleError
from edgebert.inputs.batches import Batch
from edgebert.inputs.bundle import Answers, Bundle
from edgebert.inputs.tokenization import pad
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.serving.dispatcher import Answered, Dispatcher
from edgebert.serving.governor import Governor
from edgebert.serving.residents import Residents
from edgebert.subnet import Way
from edgebert.tasks.task import Options
from edgebert.tasks.tasks import task_in

logger = logging.getLogger(__name__)

# Answers a batch, which may take so many milliseconds from now on.
Chooser = Callable[[Batch, float, Options], Answered]


@dataclass(frozen=True)
class TimeLimit:
    """What a request may take: `latency_ms` for each group of its batches, infinite without a limit.

    `parts` say of each batch which group it is of, by number, and what share it may take of the time that is left to
    its group when its turn comes: what one saves goes to the others.
    """

    latency_ms: float
    parts: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, latency_ms: float, groups: Iterable[Sequence[float]]) -> "TimeLimit":
        """Return the limit of groups of batches, from what each batch takes with its fastest network."""
        parts = []
        for number, fastest_ms in enumerate(groups):
            left_ms = sum(fastest_ms)
            for own_ms in fastest_ms:
                # In proportion to what is still to come, so that there is time for all; the last may take all.
                parts.append((number, own_ms / left_ms if left_ms > own_ms else 1.0))
                left_ms -= own_ms
        return cls(latency_ms, tuple(parts))

    def left_ms(self, number: int, group_ms: float) -> float:
        """Return what the batch of that number may still take, when `group_ms` have gone by since its group began."""
        return (self.latency_ms - group_ms) * self.parts[number][1]

    def is_kept(self, slowest_ms: float) -> bool | None:
        """Return whether a request kept its limit, of which the slowest group took so long; None if it has none."""
        return None if math.isinf(self.latency_ms) else slowest_ms <= self.latency_ms


def cascade_answers(bundle: Bundle) -> Answers:
    """Return what a cascade of a bundle's networks is set by.

    Raises:
        BundleError: the bundle's task has no cascade, or the bundle lacks this.
    """
    name, answers = bundle.manifest.name, bundle.answers()
    if not (task := task_in(bundle.manifest)).has_cascade:
        raise BundleError(f"bundle '{name}' has no cascade: answers of {task.NAME} do not say how sure they are")
    if answers is None:
        raise BundleError(f"bundle '{name}' holds no answers to set a cascade by; export it with --eval")
    return answers


class Policy:
    """Gives each request a chooser and a time limit; one thread at a time, unless `has_limit` says that it has none.

    Before the first request one of `load_chosen` and `govern` is called, which load what that needs.

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
        """Load nothing yet; `clock` tells seconds."""
        self._bundle, self._selection, self._budget = bundle, selection, selection.budget
        self._residents, self._profile = residents, profile
        self._governor = Governor(clock)
        self._chosen = (selection.subnetwork, selection.way)
        self._task = task_in(bundle.manifest)
        self._chosen_task = self._task.of_subnet(bundle.subnet(selection.subnetwork))
        self._dispatcher: Dispatcher | None = None
        self._is_governed = self._is_cascade_asked = False

    @property
    def cascade(self) -> Cascade | None:
        """The two networks that answer in a row, if there are such."""
        return self._dispatcher.cascade if self._dispatcher else None

    def load_chosen(self) -> None:
        """Load the network that was chosen.

        Raises:
            BundleError: it cannot be loaded.
        """
        self._residents.load(self._chosen, self._selection.peak_memory_mb)

    def govern(self, *, cascade: bool = False) -> None:
        """Have every request answered by the best network that is on time, or by two networks in a row.

        These two are as good together as the one that was chosen, less the tolerance.
        """
        answers = cascade_answers(self._bundle) if cascade else None
        dispatcher, self._is_governed, self._is_cascade_asked = self._made_dispatcher(), True, cascade
        if answers is not None:
            dispatcher.use_cascade(answers)
        if dispatcher.cascade is None:
            self.load_chosen()
        dispatcher.load_fastest()
        self._dispatcher = dispatcher

    def use(self, profile: DeviceProfile) -> None:
        """Choose by another profile of this device from now on; what is loaded stays loaded.

        From any thread: requests go on by the old profile until all that the new one needs is there.
        """
        self._profile = lambda: profile
        if self._is_governed:
            self.govern(cascade=self._is_cascade_asked)
        elif self._dispatcher is not None:
            self._dispatcher = self._with_fastest()

    def has_limit(self, latency_ms: float | None) -> bool:
        """Return whether a request that may take `latency_ms` is to be kept within any budget."""
        return latency_ms is not None or self._budget.is_limited or self._is_governed

    def chooser_for(self, groups: Sequence[Sequence[Batch]], latency_ms: float | None) -> tuple[Chooser, TimeLimit]:
        """Return who answers a request's batches, and how long they may take; `latency_ms` is a budget of its own.

        The budget of load time is for each group: a batch, or those of a text that is cut into windows.

        Raises:
            BudgetError: a choice is needed and may not be made, or nothing would keep the budget on a quiet device.
        """
        longest, budget = max(batch.length for group in groups for batch in group), self._budget
        limit = TimeLimit.of(budget.latency_ms or math.inf, ((1.0,) * len(group) for group in groups))
        is_too_long = budget.is_limited and budget.length is not None and longest > budget.length
        has_windows = budget.latency_ms is not None and max(map(len, groups)) > 1
        # What was chosen at load time was chosen for one batch of texts of up to that length.
        if latency_ms is None and not is_too_long and not has_windows:
            return self._dispatch().answer if self._is_governed else self._answer_fixed, limit

        if self._profile is None:
            found = "a budget for one request"
            if latency_ms is None:
                found = f"{longest} tokens for a budget of {budget.length}" if is_too_long else "a text of many windows"
            raise BudgetError(f"found {found}, but the choice is fixed; load with adaptive=True")
        dispatcher = self._dispatch()
        asked_ms, whole = budget.latency_ms, groups
        if latency_ms is not None:
            asked_ms, whole = latency_ms, [[batch for group in groups for batch in group]]
        if asked_ms is None:
            self._check_possible(dispatcher, None, longest)
            return dispatcher.answer, limit

        fastest_ms = [[dispatcher.fastest_ms(batch) for batch in group] for group in whole]
        slowest = max(fastest_ms, key=sum)
        if not sum(slowest) <= asked_ms:  # also where a time is infinite or the budget not a number
            # The nearest miss is named for the longest batch, as if all had the same part of the time.
            try:
                self._check_possible(dispatcher, asked_ms / len(slowest), longest)
            except BudgetError as problem:
                shared = f"{len(slowest)} batches share {asked_ms:g} ms: " if len(slowest) > 1 else ""
                raise BudgetError(f"{shared}{problem}", problem.nearest) from None
        return dispatcher.answer, TimeLimit.of(asked_ms, fastest_ms)

    def slow_down(self, way: Way) -> float:
        """Return how many times the profiled latency the recent requests took in a way."""
        return self._governor.slow_down(way)

    def _answer_fixed(self, batch: Batch, allowed_ms: float, options: Options) -> Answered:
        """Return the results of the network that was chosen, however long it takes; from several threads at once."""
        session = self._residents.get(self._chosen, self._selection.peak_memory_mb)
        outputs = session.run(pad(batch.tokens, session.input_names))
        return self._selection.subnetwork, self._chosen_task.results(outputs, batch.tokens, options)

    def _dispatch(self) -> Dispatcher:
        """Return the dispatcher, which is made, and its profile found, when it is first needed."""
        # Late, since a profile may have to be measured for it, which takes seconds.
        if self._dispatcher is None:
            self._dispatcher = self._with_fastest()
        return self._dispatcher

    def _with_fastest(self) -> Dispatcher:
        """Return a dispatcher that has loaded the fastest network, if that can be."""
        dispatcher = self._made_dispatcher()
        # What is loaded answers also where no more can be, such as after the bundle was replaced.
        try:
            dispatcher.load_fastest()
        except BundleError as problem:
            logger.warning("requests are answered without the fastest network: %s", problem)
        return dispatcher

    def _made_dispatcher(self) -> Dispatcher:
        assert self._profile is not None
        return Dispatcher(self._bundle, self._profile(), self._selection, self._residents, self._governor)

    def _check_possible(self, dispatcher: Dispatcher, latency_ms: float | None, length: int) -> None:
        """Raise the BudgetError that names the nearest miss, if no network answers such a length in time."""
        asked = msgspec.structs.replace(self._budget, latency_ms=latency_ms, length=length)
        select(self._bundle, dispatcher.profile, asked)
