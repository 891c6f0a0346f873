"""The runtime: loads the sub-network that a budget buys and answers with it."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict, cast

import msgspec

from edgebert.choosing.cascade import Cascade
from edgebert.choosing.selection import Budget, Selection, named, select, select_unprofiled
from edgebert.engines.engine import Session
from edgebert.engines.session import default_way, way_filter
from edgebert.errors import BudgetError, BundleError, EdgeBertError
from edgebert.inputs.batches import Batch, batches_of
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.inputs.tokenization import Text, Tokenizer
from edgebert.machine.device import this_device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import check_profile, profile_of
from edgebert.serving.dispatcher import Dispatcher, run
from edgebert.serving.governor import Governor
from edgebert.serving.residents import Residents
from edgebert.serving.stats import Stats, Tally
from edgebert.subnet import WayFilter
from edgebert.tasks.task import Answer, Outputs
from edgebert.tasks.tasks import task_in

logger = logging.getLogger(__name__)


class Prediction(TypedDict):
    """A label and its score, as transformers' text-classification pipeline gives them."""

    label: str
    score: float


def load(
    bundle: str | Path | Bundle | None = None,
    *,
    latency_ms: float | None = None,
    memory_mb: float | None = None,
    percentile: float = 95,
    length: int | None = None,
    batch_size: int = 1,
    tolerance: float = 0.0,
    subnet: str | None = None,
    adaptive: bool = True,
    profile: DeviceProfile | str | Path | None = None,
    provider: str | None = None,
    threads: int | None = None,
    cascade: bool = False,
    warm_up: bool = True,
) -> "Predictor":
    """Load the best sub-network that meets a budget on this device.

    Without a bundle the built-in one is loaded; without a budget the best sub-network. A budget needs a
    profile: the one given, else the cached one, else a quick one is measured (about 5 s). `length` is the longest
    input, in tokens, that `latency_ms` must hold for, by default the bundle's longest. `subnet` names one whatever it
    costs.

    With a latency budget each request gets the best sub-network that fits its own length and the device's
    present speed; with `adaptive=False` the choice made here stays for every request. With `cascade` a small
    sub-network answers first, and a larger one only where that is not sure, if the two together are as good as what
    the budget buys, less the `tolerance`, for less time on average. `warm_up` answers a text before this returns, so
    that the first request is as fast as the others.

    Raises:
        BundleError: the bundle is damaged or has no such sub-network.
        ProfileError: the profile is damaged or another bundle's.
        BudgetError: no sub-network meets the budget; its `nearest` comes closest.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    way = default_way(provider, threads)
    budget = Budget(
        latency_ms=latency_ms,
        memory_mb=memory_mb,
        percentile=percentile,
        length=length,
        batch_size=batch_size,
        tolerance=tolerance,
    ).of(bundle)
    given = _given(profile, bundle) if profile is not None else None
    profiled = _Profiled(bundle, budget.batch_size, way_filter(provider, threads), given)
    if subnet is not None:
        selection = named(bundle.subnet(subnet), budget, way)
    elif budget.is_limited or cascade:
        selection = select(bundle, profiled.profile(), budget)
    else:
        selection = select_unprofiled(bundle, budget, way)
    if cascade and (subnet is not None or not adaptive):
        raise EdgeBertError("expected a cascade or a fixed choice, found both; leave out subnet and adaptive=False")
    governed = cascade or (adaptive and subnet is None and latency_ms is not None)
    return Predictor(
        bundle, selection, profiled, adaptive=adaptive, governed=governed, cascade=cascade, warm_up=warm_up
    )


def _given(profile: DeviceProfile | str | Path, bundle: Bundle) -> DeviceProfile:
    """Return the profile that the user gave, with a warning if it tells of another device."""
    found = check_profile(profile if isinstance(profile, DeviceProfile) else DeviceProfile.load(profile), bundle)
    if found.device.fingerprint != this_device().fingerprint:
        logger.warning("the profile was measured on another device (%s): its budget may not hold here", found.device)
    return found


class _Profiled:
    """The profile that choices are made from: given, or cached or measured when the first budget needs one."""

    def __init__(self, bundle: Bundle, batch_size: int, asked: WayFilter, given: DeviceProfile | None):
        self._bundle, self._batch_size, self._asked, self._found = bundle, batch_size, asked, given

    def profile(self) -> DeviceProfile:
        """Return the entries of the ways that were asked for."""
        if self._found is None:
            self._found = profile_of(self._bundle, batch_size=self._batch_size, asked=self._asked)
        return self._found.narrowed(self._asked)


class Predictor:
    """Answers texts with the sub-networks that a budget buys; may be called from several threads at once.

    `selection` is the choice made at load time and `subnet` the sub-network that it names. Requests that have a budget
    are answered one after the other, since two at once would slow each other.
    """

    def __init__(
        self,
        bundle: Bundle,
        selection: Selection,
        profiled: _Profiled,
        *,
        adaptive: bool,
        governed: bool,
        cascade: bool,
        warm_up: bool,
    ):
        self.bundle = bundle
        self.selection = selection
        self._profiled, self._adaptive, self._governed = profiled, adaptive, governed
        self._tokenizer, self._task = Tokenizer.of(bundle), task_in(bundle.manifest)
        self._residents = Residents(bundle, selection.budget.memory_mb, self._warm if warm_up else _leave_cold)
        self._governor, self._tally = Governor(), Tally()
        self._turn = threading.Lock()
        self._session = self._residents.load((selection.subnetwork, selection.way), selection.peak_memory_mb or 0.0)
        self._dispatcher = self._dispatch() if governed else None
        if cascade and self._dispatcher is not None:
            self._use_cascade(self._dispatcher)

    @property
    def subnet(self) -> ExportedSubnet:
        """The sub-network that was chosen at load time."""
        return self.bundle.subnet(self.selection.subnetwork)

    @property
    def cascade(self) -> Cascade | None:
        """The two networks that answer, where a cascade was asked for and gains something."""
        return self._dispatcher.cascade if self._dispatcher else None

    def __call__(self, texts: Text | Sequence[Text], *, latency_ms: float | None = None) -> list[Prediction]:
        """Return the best label and its score for each text or (text, pair), in the order given.

        `latency_ms` is a budget for this call, from its beginning to its end. The budget of `load` is for each batch,
        one text by default.

        Raises:
            BudgetError: no sub-network meets the budget for texts of this length.
            EdgeBertError: a text is empty or no text, this is closed, or the process was forked.
        """
        start_s = time.perf_counter()
        self._residents.check()
        texts = cast(list[Text], texts if isinstance(texts, list) else [texts])
        batches = batches_of([self._tokenizer.encode(text) for text in texts], self.selection.budget.batch_size)
        if not batches:
            return []
        if latency_ms is None and not (self._governed or self.selection.budget.is_limited):
            answers = self._answer(batches, start_s)
        else:
            with self._turn:
                answers = self._answer_in_time(batches, latency_ms, start_s)
        return [answers[place] for place in range(len(texts))]

    async def predict_async(self, texts: Text | Sequence[Text], *, latency_ms: float | None = None) -> list[Prediction]:
        """Answer as a call does, without holding up the event loop."""
        return await asyncio.to_thread(self, texts, latency_ms=latency_ms)

    def stats(self) -> Stats:
        """Return what was answered by what so far, and how slow the device is at the moment."""
        with self._turn:
            loaded = self._residents.loaded()
            slow_down = {str(way): round(self._governor.slow_down(way), 3) for _, way in loaded}
            return self._tally.stats(slow_down, [f"{subnet_id} ({way})" for subnet_id, way in loaded])

    def close(self) -> None:
        """Let go of the loaded networks; a closed Predictor answers no more."""
        self._residents.close()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, batches: Sequence[Batch], start_s: float) -> dict[int, Prediction]:
        """Return the answers of the network that was chosen at load time, by place."""
        answers: dict[int, Prediction] = {}
        for batch in batches:
            answers.update(self._predictions(batch, run(self._session, batch)))
        with self._turn:
            self._count(self.selection.subnetwork, len(answers), start_s)
            self._tally.add_request(None)
        return answers

    def _answer_in_time(
        self, batches: Sequence[Batch], latency_ms: float | None, start_s: float
    ) -> dict[int, Prediction]:
        """Return the answers of the networks that keep a budget, by place."""
        dispatcher = self._dispatcher_for(batches, latency_ms)
        if dispatcher is not None and latency_ms is not None:
            return self._answer_call(dispatcher, batches, latency_ms, start_s)
        answers: dict[int, Prediction] = {}
        each_ms, kept, batch_start_s = self.selection.budget.latency_ms or math.inf, True, start_s
        for batch in batches:
            if dispatcher is None:
                subnet_id, outputs = self.selection.subnetwork, run(self._session, batch)
            else:
                subnet_id, outputs = dispatcher.run(batch, each_ms - _milliseconds_since(batch_start_s))
            answers.update(self._predictions(batch, outputs))
            if dispatcher is not None:
                dispatcher.finished()
            kept = kept and _milliseconds_since(batch_start_s) <= each_ms
            self._count(subnet_id, len(batch.places), batch_start_s)
            batch_start_s = time.perf_counter()
        self._tally.add_request(kept)
        return answers

    def _answer_call(
        self, dispatcher: Dispatcher, batches: Sequence[Batch], latency_ms: float, start_s: float
    ) -> dict[int, Prediction]:
        """Return the answers for a call with a budget of its own, by place.

        Each batch may take a share of the time that is left: that which it would have if all were answered by their
        fastest networks. So there is time for them all, and what one saves goes to the others.
        """
        answers: dict[int, Prediction] = {}
        fastest_ms = [dispatcher.fastest_ms(batch) for batch in batches]
        left_ms = sum(fastest_ms)
        for batch, own_ms in zip(batches, fastest_ms, strict=True):
            batch_start_s = time.perf_counter()
            share = own_ms / left_ms if left_ms > own_ms else 1.0
            subnet_id, outputs = dispatcher.run(batch, (latency_ms - _milliseconds_since(start_s)) * share)
            left_ms -= own_ms
            answers.update(self._predictions(batch, outputs))
            dispatcher.finished()
            self._count(subnet_id, len(batch.places), batch_start_s)
        self._tally.add_request(_milliseconds_since(start_s) <= latency_ms)
        return answers

    def _dispatcher_for(self, batches: Sequence[Batch], latency_ms: float | None) -> Dispatcher | None:
        """Return who chooses for a request, None if the choice made at load time stands.

        Raises:
            BudgetError: a choice is needed and may not be made, or nothing would keep the budget on a quiet device.
        """
        budget, longest = self.selection.budget, batches[-1].length
        too_long = budget.is_limited and budget.length is not None and longest > budget.length
        if latency_ms is None and not too_long:
            return self._dispatcher if self._governed else None
        if not self._adaptive:
            what = f"{longest} tokens for a budget of {budget.length}" if too_long else "a budget for one request"
            raise BudgetError(f"found {what}, but the choice is fixed; load with adaptive=True")
        if self._dispatcher is None:
            self._dispatcher = self._dispatch()
        if latency_ms is None or sum(map(self._dispatcher.fastest_ms, batches)) > latency_ms:
            each_ms = budget.latency_ms if latency_ms is None else latency_ms / len(batches)
            asked = msgspec.structs.replace(budget, latency_ms=each_ms, length=longest)
            select(self.bundle, self._dispatcher.profile, asked)  # raises the error that names the nearest miss
        return self._dispatcher

    def _dispatch(self) -> Dispatcher:
        profile = self._profiled.profile()
        return Dispatcher(self.bundle, profile, self.selection.budget, self._residents, self._governor)

    def _use_cascade(self, dispatcher: Dispatcher) -> None:
        """Have two networks answer that are as good as the one that was chosen."""
        answers, budget = self.bundle.answers(), self.selection.budget
        if answers is None:
            name = self.bundle.manifest.name
            raise BundleError(f"bundle '{name}' holds no answers to set a cascade by; export it with --eval")
        quality = (self.selection.quality or 0.0) - budget.tolerance
        dispatcher.use_cascade(answers, budget, quality, budget.length or self.bundle.manifest.max_length)

    def _warm(self, session: Session) -> None:
        """Answer a text, since a network's first answer takes longer."""
        run(session, batches_of([self._tokenizer.encode("a")], 1)[0])

    def _count(self, subnet_id: str, texts: int, start_s: float) -> None:
        self._tally.add_batch(subnet_id, texts, _milliseconds_since(start_s))

    def _predictions(self, batch: Batch, outputs: Outputs) -> Iterator[tuple[int, Answer]]:
        """Return the answer to each text of a batch, with its place."""
        return zip(batch.places, self._task.answers(outputs), strict=True)


def _leave_cold(_: Session) -> None:
    """Do nothing with a network that was loaded."""


def _milliseconds_since(start_s: float) -> float:
    return (time.perf_counter() - start_s) * 1000
