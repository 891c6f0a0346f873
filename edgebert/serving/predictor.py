"""The runtime: loads the sub-network that a budget buys and answers with it."""

import contextlib
import functools
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from edgebert.choosing.cascade import Cascade
from edgebert.choosing.selection import Budget, Selection
from edgebert.engines.engine import Session
from edgebert.engines.session import default_way, open_session, way_filter
from edgebert.errors import EdgeBertError
from edgebert.inputs.batches import Batch, Groups, Request
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile_of
from edgebert.serving.background_profile import BackgroundProfile
from edgebert.serving.dispatcher import Answered
from edgebert.serving.parameters import ProfileSource, budget_of, choose, profile_source
from edgebert.serving.policy import Policy, TimeLimit, cascade_answers
from edgebert.serving.request import CallTexts, form_of, read_texts
from edgebert.serving.residents import Residents
from edgebert.serving.stats import AnsweredBy, Stats, Tally
from edgebert.subnet import Subnet, Way
from edgebert.tasks.task import Result
from edgebert.tasks.tasks import task_in

_PREDICTORS: "weakref.WeakSet[Predictor]" = weakref.WeakSet()


def _begin_anew() -> None:
    for predictor in _PREDICTORS:
        predictor._begin_anew()


# After the hook of the engines, which see to it that the parent's sessions are never destroyed here.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def load(
    bundle: str | Path | Bundle | None = None,
    *,
    latency_ms: float | None = None,
    memory_mb: float | None = None,
    percentile: float = 95,
    length: int | None = None,
    batch_size: int = 1,
    tolerance: float = 0.0,
    budget: Budget | None = None,
    subnet: str | Subnet | None = None,
    adaptive: bool = True,
    profile: DeviceProfile | str | Path | None = None,
    provider: str | None = None,
    threads: int | None = None,
    cascade: bool = False,
    warm_up: bool = True,
    dims: int | None = None,
    profile_in_background: bool = False,
) -> "Predictor":
    """Load the best sub-network that meets a budget on this device.

    Args:
        bundle: a bundle's folder; by default the built-in bundle.
        latency_ms: what a request may take, at a percentile, if its texts have up to `length` tokens.
        memory_mb: what the loaded networks may take at their peak.
        percentile: the share of requests, in percent, for which `latency_ms` must hold: 50, 90, 95 or 99.
        length: the longest input that the budget must hold for, in tokens; by default the bundle's longest.
        batch_size: how many texts are answered at once.
        tolerance: how much worse than the best a sub-network may be to count as equally good.
        budget: the six above as one value.
        subnet: the id of a sub-network, or the value, that is loaded whatever it costs.
        adaptive: whether each request gets the best sub-network for its own length and the device's present speed.
        profile: the profile to choose by; by default the cached one, or else a quick one is measured (about 5 s).
        provider: an engine, by its short name or ONNX Runtime's own for it.
        threads: on how many threads networks run; by default what the profile says is best, or one for each fast core.
        cascade: whether a small sub-network answers first and a larger one where that is unsure, if it costs less.
        warm_up: whether a text is answered before this returns, so that the first request is as fast as the others.
        dims: to how many dimensions embeddings are cut where a call does not say so; by default to none fewer.
        profile_in_background: whether a thread measures a doubtful profile again when device and app are calm.

    Raises:
        BundleError, ProfileError: one is damaged or of another bundle, or there is no such sub-network.
        BudgetError: no sub-network meets the budget; its `nearest` comes closest.
        EdgeBertError: an argument is out of range, or two contradict each other.
    """
    shape = {"length": length, "batch_size": batch_size, "tolerance": tolerance}
    asked = budget_of(budget, latency_ms=latency_ms, memory_mb=memory_mb, percentile=percentile, **shape)
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    _check_cascade(bundle, cascade, is_fixed=subnet is not None or not adaptive)
    asked, way, ways = asked.of(bundle), default_way(provider, threads), way_filter(provider, threads)
    source = profile_source(bundle, asked.batch_size, ways, profile)
    by_profile = asked.is_limited or asked.tolerance > 0 or profile is not None or cascade
    selection = choose(bundle, subnet, asked, way, source if by_profile else None)
    model = _predictor(bundle, selection, source if adaptive else None, warm_up=warm_up, dims=dims)
    is_governed = adaptive and subnet is None and (cascade or asked.latency_ms is not None)
    model._policy.govern(cascade=cascade) if is_governed else model._policy.load_chosen()
    if profile_in_background and adaptive and by_profile and profile is None and source().is_doubtful:
        model._heal(lambda: profile_of(bundle, asked.batch_size, ways, in_use=source()).narrowed(ways))
    return model


def _predictor(
    bundle: Bundle, selection: Selection, source: ProfileSource | None, *, warm_up: bool, dims: int | None
) -> "Predictor":
    """Return a Predictor that has loaded nothing yet."""
    tokenizer = Tokenizer.of(bundle)
    open_network = functools.partial(_open_network, bundle, tokenizer if warm_up else None)
    residents = Residents(selection.budget.memory_mb, open_network)
    return Predictor(bundle, selection, tokenizer, residents, Policy(bundle, selection, residents, source), dims=dims)


def _check_cascade(bundle: Bundle, is_asked: bool, *, is_fixed: bool) -> None:
    """Refuse a cascade that cannot be, before anything is measured for it."""
    if not is_asked:
        return
    if is_fixed:
        raise EdgeBertError("expected a cascade or a fixed choice, found both; leave out subnet and adaptive=False")
    cascade_answers(bundle)


def _open_network(bundle: Bundle, warm_up: Tokenizer | None, subnet_id: str, way: Way) -> Session:
    """Load a sub-network of a bundle, and have it answer a text if there is a tokenizer to warm it up."""
    session = open_session(bundle, bundle.subnet(subnet_id), way)
    if warm_up is not None:  # a network's first answer takes longer
        session.run(pad([warm_up.encode("a")], session.input_names))
    return session


class Predictor:
    """Answers texts with the sub-networks that a budget buys; may be called from several threads at once.

    `bundle` is where the networks are from and `selection` the choice made at load time. Requests that have a budget
    are answered one after the other. In a forked process the first request that needs a network loads it again, and the
    counts begin anew.
    """

    def __init__(
        self,
        bundle: Bundle,
        selection: Selection,
        tokenizer: Tokenizer,
        residents: Residents,
        policy: Policy,
        clock: Callable[[], float] = time.perf_counter,
        dims: int | None = None,
    ):
        """Answer with loaded networks; `load` makes one. `clock` tells seconds."""
        self.bundle, self.selection = bundle, selection
        self._tokenizer, self._residents, self._policy, self._clock = tokenizer, residents, policy, clock
        self._task = task_in(bundle.manifest)
        self._usual = {} if dims is None else {"dims": dims}
        self._usually_asked = self._task.options(self._usual)
        self._background: BackgroundProfile | None = None
        self._begin_counting()
        _PREDICTORS.add(self)

    def _heal(self, ask: Callable[[], DeviceProfile]) -> None:
        """Use the profile that `ask` gives as soon as that is no longer doubtful."""
        me = weakref.ref(self)

        def use(found: DeviceProfile) -> None:
            model = me()
            if model is not None:
                model._policy.use(found)

        self._background = BackgroundProfile(ask, use)
        # A thread does not keep who is forgotten.
        weakref.finalize(self, self._background.close)

    def _begin_counting(self) -> None:
        # An RLock, so that a signal handler may ask for `stats` while its thread answers a request.
        self._tally, self._turn = Tally(), threading.RLock()

    def _begin_anew(self) -> None:
        """Begin anew in a forked process."""
        self._background = None  # its thread is the parent's
        self._begin_counting()
        self._residents.begin_anew()

    def __reduce__(self) -> NoReturn:
        raise EdgeBertError("a Predictor cannot be copied or sent to another process; load one there")

    @property
    def subnet(self) -> ExportedSubnet:
        """The sub-network that was chosen at load time."""
        return self.bundle.subnet(self.selection.subnetwork)

    @property
    def cascade(self) -> Cascade | None:
        """The two networks that answer in a row, where a cascade was asked for and gains something."""
        return self._policy.cascade

    def __call__(self, texts: CallTexts, *, latency_ms: float | None = None, **options: Any) -> Any:
        """Return the answer to each text, in the order given and in the form of transformers' pipeline of the task.

        Args:
            texts: a text, a (text, pair) tuple, a dict with "text" and perhaps "text_pair" or with "question" and
                "context", or an iterable of these.
            latency_ms: a budget for this call, from its beginning to its end. The budget of `load` is for each batch,
                one text by default.
            options: what the task lets a call ask for. `top_k` of tasks that give labels: how many each text gets, None
                for all, in a list of {"label", "score"}, the best first; without it the best one by itself. Answers to
                questions have `top_k`, `max_answer_len`, `doc_stride`, `handle_impossible_answer` and `align_to_words`.
                Embeddings have `dims`, to how many dimensions they are cut, and `prompt` or `prompt_name`, what is put
                before each text.

        Raises:
            BudgetError: no sub-network meets the budget for texts of this length.
            EdgeBertError: a text is empty or no text, the task has no such option, or this is closed.
        """
        start_s = self._clock()
        self._residents.check()
        task = self._task
        asked = task.options({**self._usual, **options}) if options else self._usually_asked
        request = Request.of([task.rows(text, self._tokenizer, asked) for text in read_texts(texts)])
        if not request.rows:
            return task.shaped([], form_of(texts), asked, ())
        groups = request.groups(self.selection.budget.batch_size)
        # Two at once would slow each other, and no profile knows by how much; the wait for one's turn counts.
        with self._turn if self._policy.has_limit(latency_ms) else contextlib.nullcontext():
            chooser, limit = self._policy.chooser_for(groups, latency_ms)
            found = self._run(groups, lambda batch, left_ms: chooser(batch, left_ms, asked), limit, start_s)
        results = [task.joined([found[row][1] for row in rows], asked) for rows in request.rows]
        networks = [found[rows[0]][0] for rows in request.rows]
        return task.shaped(task.answers(results, asked), form_of(texts), asked, networks)

    def similarity(self, first: Any, second: Any) -> Any:
        """Return how alike embeddings (texts, dims) and others (others, dims) are: (texts, others), higher is more.

        By the function that the bundle's checkpoint names, as `SentenceTransformer.similarity` does. Those of this
        bundle's space may be of any sub-network; plain arrays are taken to be of it.

        Raises:
            EdgeBertError: they are of another space or of different dims, or this bundle embeds no texts.
        """
        return self._task.similarity(first, second)

    async def predict_async(self, texts: CallTexts, *, latency_ms: float | None = None, **options: Any) -> Any:
        """Answer as a call does, without holding up the event loop."""
        import asyncio  # who has no event loop need not wait until it is imported

        return await asyncio.to_thread(self, texts, latency_ms=latency_ms, **options)

    def stats(self) -> Stats:
        """Return what was answered by what so far, and how slow the device is at the moment."""
        with self._turn:
            loaded = self._residents.loaded()
            slow_down = {str(way): round(self._policy.slow_down(way), 3) for _, way in loaded}
        return self._tally.stats(slow_down, [f"{subnet_id} ({way})" for subnet_id, way in loaded])

    def close(self) -> None:
        """Let go of the loaded networks, when no request runs them any more; a closed Predictor answers no more."""
        if self._background is not None:
            self._background.close()
        self._residents.close()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        chosen = self.selection
        return f"Predictor({self.bundle.manifest.name!r}, {chosen.subnetwork} ({chosen.way}), {chosen.budget})"

    def _run(
        self, groups: Groups, chooser: Callable[[Batch, float], Answered], limit: TimeLimit, start_s: float
    ) -> dict[int, tuple[str, Result]]:
        """Return for each row of a request that began at `start_s` who answered it, and its result; count the request.

        Rows are known by their places.
        """
        found: dict[int, tuple[str, Result]] = {}
        counted: list[tuple[str, AnsweredBy]] = []
        slowest_ms, group_start_s, last = 0.0, start_s, 0
        before_s = start_s  # what the tokenizer took counts as the first batch's
        for number, batch in enumerate(itertools.chain(*groups)):
            group, _ = limit.parts[number]
            if group != last:
                group_start_s, last = before_s, group
            left_ms = limit.left_ms(number, (self._clock() - group_start_s) * 1000)
            subnet_id, results = chooser(batch, left_ms)
            found.update((place, (subnet_id, one)) for place, one in zip(batch.places, results, strict=True))

            end_s = self._clock()
            counted.append((subnet_id, AnsweredBy(len(batch.places), (end_s - before_s) * 1000)))
            slowest_ms, before_s = max(slowest_ms, (end_s - group_start_s) * 1000), end_s
        # At the end, in one step: a request that fails on its way is not counted.
        self._tally.add(counted, limit.is_kept(slowest_ms))
        return found
