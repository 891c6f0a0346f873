"""The runtime: loads the sub-network that a budget buys and answers with it."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgebert.bundle import Bundle, ExportedSubnet, Task
from edgebert.device import default_threads, this_device
from edgebert.device_profile import DeviceProfile, Way
from edgebert.errors import BudgetError, BundleError, EdgeBertError
from edgebert.profiler import MAX_THREADS, check_profile, profile_of
from edgebert.selection import Budget, Selection, named, select, select_unprofiled
from edgebert.session import Session, check_provider, open_session
from edgebert.subnet import CPU
from edgebert.tokenization import Text, Tokenizer, pad

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
) -> "Predictor":
    """Load the most accurate sub-network that meets a budget on this device.

    Without a bundle the built-in one is loaded; without a budget the most accurate sub-network. A budget needs a
    profile: the one given, else the cached one, else a quick one is measured (about 5 s). `length` is the longest
    input, in tokens, that `latency_ms` must hold for, by default the bundle's longest. `subnet` names one whatever it
    costs. With `adaptive=False` the choice made here stays for every request.

    Raises:
        BundleError: the bundle is damaged or has no such sub-network.
        ProfileError: the profile is damaged or another bundle's.
        BudgetError: no sub-network meets the budget; its `nearest` comes closest.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    check_provider(provider or CPU)
    if threads is not None and not (isinstance(threads, int) and 1 <= threads <= MAX_THREADS):
        raise EdgeBertError(f"expected 1 to {MAX_THREADS} threads, found {threads}")
    budget = Budget(
        latency_ms=latency_ms,
        memory_mb=memory_mb,
        percentile=percentile,
        length=length,
        batch_size=batch_size,
        tolerance=tolerance,
    ).of(bundle)
    given = _given(profile, bundle) if profile is not None else None
    profiled = _Profiled(bundle, budget.batch_size, provider, threads, given)
    default_provider, thread_count = provider or CPU, threads or default_threads()
    if subnet is not None:
        selection = named(bundle.subnet(subnet), budget, provider=default_provider, threads=thread_count)
    elif budget.is_limited:
        selection = select(bundle, profiled.profile(), budget)
    else:
        selection = select_unprofiled(bundle, budget, provider=default_provider, threads=thread_count)
    return Predictor(bundle, selection, profiled, adaptive=adaptive)


def _given(profile: DeviceProfile | str | Path, bundle: Bundle) -> DeviceProfile:
    """Return the profile that the user gave, with a warning if it tells of another device."""
    found = check_profile(profile if isinstance(profile, DeviceProfile) else DeviceProfile.load(profile), bundle)
    if found.device.fingerprint != this_device().fingerprint:
        logger.warning("the profile was measured on another device (%s): its budget may not hold here", found.device)
    return found


class _Profiled:
    """The profile that choices are made from: given, or cached or measured when the first budget needs one."""

    def __init__(
        self, bundle: Bundle, batch_size: int, provider: str | None, threads: int | None, given: DeviceProfile | None
    ):
        self._bundle, self._batch_size, self._provider, self._threads = bundle, batch_size, provider, threads
        self._found = given

    def profile(self) -> DeviceProfile:
        """Return the entries for the provider and threads that were asked for, all where none were."""
        if self._found is None:
            self._found = profile_of(
                self._bundle, batch_size=self._batch_size, threads=self._threads, provider=self._provider
            )
        return self._found.narrowed(self._provider, self._threads)


class Predictor:
    """Answers texts with the sub-network that a budget bought; may be called from several threads at once.

    `selection` is the choice made at load time and `subnet` the sub-network that it names.
    """

    def __init__(self, bundle: Bundle, selection: Selection, profiled: _Profiled, *, adaptive: bool):
        self.bundle = bundle
        self.selection = selection
        self._profiled, self._adaptive = profiled, adaptive
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, Way], Session] = {}
        self._tokenizer = Tokenizer.of(bundle)
        self._closed = False
        self._session(selection)

    @property
    def subnet(self) -> ExportedSubnet:
        """The sub-network that was chosen at load time."""
        return self.bundle.subnet(self.selection.subnetwork)

    def __call__(self, texts: Text | Sequence[Text], *, latency_ms: float | None = None) -> list[Prediction]:
        """Return the best label and its score for each text or (text, pair), in the order given.

        A list is answered in batches of the budget's size, one by one by default. `latency_ms` is a budget for this
        call alone; the first call that needs another sub-network also waits until that is loaded.

        Raises:
            BudgetError: no sub-network meets the budget for texts of this length.
            EdgeBertError: a text is empty or no text.
        """
        tokens = [
            self._tokenizer.encode(text) for text in cast(list[Text], texts if isinstance(texts, list) else [texts])
        ]
        if not tokens:
            return []
        # Batches of similar lengths waste little on padding.
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place].ids))
        size = self.selection.budget.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        longest = len(tokens[order[-1]].ids)
        session = self._session(self._choose(longest, len(batches), latency_ms))
        answers: dict[int, Prediction] = {}
        for batch in batches:
            logits = session.run(pad([tokens[place] for place in batch], session.input_names))
            answers.update(zip(batch, self._predictions(logits), strict=True))
        return [answers[place] for place in range(len(tokens))]

    def close(self) -> None:
        """Let go of the loaded networks; a closed Predictor answers no more."""
        with self._lock:
            self._closed = True
            self._sessions.clear()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _choose(self, length: int, batches: int, latency_ms: float | None) -> Selection:
        """Return the load-time choice, or one for this call if it has its own budget or is longer than was budgeted."""
        budget = self.selection.budget
        too_long = budget.is_limited and budget.length is not None and length > budget.length
        if latency_ms is None and not too_long:
            return self.selection
        if not self._adaptive:
            what = f"{length} tokens for a budget of {budget.length}" if too_long else "a budget for one request"
            raise BudgetError(f"found {what}, but the choice is fixed; load with adaptive=True")
        each_ms = budget.latency_ms if latency_ms is None else latency_ms / batches
        asked = msgspec.structs.replace(budget, latency_ms=each_ms, length=length)
        return select(self.bundle, self._affordable(), asked)

    def _affordable(self) -> DeviceProfile:
        """Return the profile of what can be used beside the loaded networks: ONNX Runtime gives no memory back."""
        profile, memory_mb = self._profiled.profile(), self.selection.budget.memory_mb
        if memory_mb is None:
            return profile
        loaded = [entry for entry in profile.subnetworks if entry.key in self._sessions]
        free_mb = memory_mb - sum(entry.peak_memory_mb for entry in loaded)
        usable = tuple(e for e in profile.subnetworks if e in loaded or e.peak_memory_mb <= free_mb)
        return msgspec.structs.replace(profile, subnetworks=usable)

    def _session(self, selection: Selection) -> Session:
        """Return the loaded network of a selection, loading it the first time."""
        key = selection.subnetwork, selection.way
        with self._lock:
            if self._closed:
                raise EdgeBertError("this Predictor is closed; load another")
            if key not in self._sessions:
                logger.info("loading %s", selection.subnetwork)
                self._sessions[key] = open_session(
                    self.bundle,
                    self.bundle.subnet(selection.subnetwork),
                    flavor=selection.flavor,
                    provider=selection.provider,
                    threads=selection.threads,
                )
            return self._sessions[key]

    def _predictions(self, logits: NDArray[np.float32]) -> list[Prediction]:
        """Return a prediction for each row of logits (batch, labels)."""
        manifest = self.bundle.manifest
        if logits.shape[1] != len(manifest.labels):
            found = f"{logits.shape[1]} logits for {len(manifest.labels)} labels"
            raise BundleError(f"bundle '{manifest.name}': found {found}; export the bundle again")
        scores = scores_of(logits, manifest.task)
        return [{"label": manifest.labels[row.argmax()], "score": float(row.max())} for row in scores]


def scores_of(logits: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Return scores (batch, labels) of logits, by the rules of transformers' text-classification pipeline.

    Softmax over several labels; a sigmoid each for one label or for labels that do not exclude each other; the bare
    number for a regression.
    """
    if task == "text-regression":
        return logits
    if task == "multi-label-text-classification" or logits.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits)))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
