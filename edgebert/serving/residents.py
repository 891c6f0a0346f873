"""The networks that are loaded: which may be, and how more are loaded in the background while requests are answered."""

import contextlib
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from edgebert.engines.engine import Session
from edgebert.errors import EdgeBertError
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

Key = tuple[str, Way]


class Residents:
    """Loaded networks by name and way; may be asked from several threads at once."""

    def __init__(self, memory_mb: float | None, open_network: Callable[[str, Way], Session]):
        """Take no more memory than `memory_mb`, None for any; `open_network` loads a sub-network in a way."""
        self._memory_mb = math.inf if memory_mb is None else memory_mb
        self._open_network = open_network
        # ONNX Runtime gives no memory back (its issue 26831): nothing is ever unloaded, and what is taken stays so.
        self._taken_mb: dict[Key, float] = {}
        self._sessions: dict[Key, Session | None] = {}  # None where the process was forked and has not asked for it yet
        self._failed: set[Key] = set()
        self._closed = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin anew in a forked process, which has neither the threads of the loaded networks nor that of the loader.

        Each network is loaded again when it is first asked for.
        """
        self._sessions = dict.fromkeys(self._sessions)
        self._lock = threading.RLock()  # another thread may have held the one that there was
        self._loader: ThreadPoolExecutor | None = None
        self._loading: Future[None] | None = None
        self._wanted: Counter[Key] = Counter()

    def is_loaded(self, key: Key) -> bool:
        """Return whether a network is loaded."""
        return key in self._sessions

    def get(self, key: Key, peak_memory_mb: float | None) -> Session:
        """Return a network that was found to be loaded.

        Raises:
            BundleError: the process was forked, and the network cannot be loaded again.
            EdgeBertError: another thread has closed these networks meanwhile.
        """
        # Without the lock, which is held as long as a network is being loaded.
        return self._sessions.get(key) or self.load(key, peak_memory_mb)

    def check(self) -> None:
        """Raise an EdgeBertError if these networks cannot be used, because they are closed."""
        if self._closed:
            raise EdgeBertError("this Predictor is closed; load another")

    def loaded(self) -> list[Key]:
        """Return which networks are loaded, the first loaded first."""
        return list(self._sessions)

    def fits(self, key: Key, peak_memory_mb: float) -> bool:
        """Return whether a network is loaded or may be, beside those that are."""
        if key in self._sessions:
            return True
        # Added up as a choice of two networks was: what is left, subtracted, may be less in its last digit.
        return key not in self._failed and peak_memory_mb + self._others_mb(key) <= self._memory_mb

    def count(self, key: Key, peak_memory_mb: float) -> None:
        """Count what a network takes at its peak against the memory, whatever that allows."""
        self._taken_mb[key] = peak_memory_mb

    def load(self, key: Key, peak_memory_mb: float | None) -> Session:
        """Return a network, loading it now if it is not loaded; without a known peak, whatever it takes.

        Raises:
            BundleError: the network cannot be loaded.
            EdgeBertError: there is no room for it, or these networks are closed.
        """
        with self._lock:
            self.check()
            session = self._sessions.get(key)
            if session is not None:
                return session
            if peak_memory_mb is not None and not self.fits(key, peak_memory_mb):
                found = f"{peak_memory_mb:.1f} MB for {key[0]} ({key[1]})"
                left_mb = max(0.0, self._memory_mb - self._others_mb(key))
                raise EdgeBertError(f"expected at most {left_mb:.1f} MB, found {found}; raise memory_mb")

            logger.info("loading %s (%s)", *key)
            # Before, since what a load that fails has taken is not given back either.
            self.count(key, peak_memory_mb or self._taken_mb.get(key, 0.0))
            session = self._sessions[key] = self._open_network(*key)
            return session

    def want(self, key: Key, peak_memory_mb: float) -> None:
        """Load a network in the background, if there is room for it; the one asked for most often comes first."""
        self._wanted[key] += 1
        if self._loading is not None and not self._loading.done():
            return
        if self._wanted[key] < max(self._wanted.values()) or not self.fits(key, peak_memory_mb):
            return
        if self._loader is None:
            self._loader = ThreadPoolExecutor(1, thread_name_prefix="edgebert-loader")
        # It takes no more when another thread has closed these networks, or Python ends.
        with contextlib.suppress(RuntimeError):
            self._loading = self._loader.submit(self._load_quietly, key, peak_memory_mb)

    def wait(self) -> None:
        """Wait until nothing is being loaded."""
        if self._loading is not None:
            self._loading.result()

    def close(self) -> None:
        """Let go of the loaded networks, each when no request runs it any more."""
        self._closed = True
        if self._loader is not None:
            self._loader.shutdown()
        with self._lock:
            self._sessions.clear()

    def _others_mb(self, key: Key) -> float:
        """Return what the other networks take."""
        return sum(mb for other, mb in self._taken_mb.items() if other != key)

    def _load_quietly(self, key: Key, peak_memory_mb: float) -> None:
        try:
            self.load(key, peak_memory_mb)
        except EdgeBertError as problem:
            if not self._closed:
                logger.warning("%s (%s) cannot be loaded and is not used: %s", *key, problem)
            self._failed.add(key)
        del self._wanted[key]
