"""The networks that are loaded: which may be, and how more are loaded in the background while requests are answered."""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from edgebert.engines.engine import Session
from edgebert.errors import EdgeBertError
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

Key = tuple[str, Way]

_CLOSED = "this Predictor is closed; load another"


class Residents:
    """Loaded networks by name and way; may be asked from several threads at once."""

    def __init__(self, memory_mb: float | None, open_network: Callable[[str, Way], Session]):
        """Take no more memory than `memory_mb`, None for any; `open_network` loads a sub-network in a way."""
        # ONNX Runtime gives no memory back (its issue 26831): nothing is ever unloaded, and what is free only shrinks.
        self._free_mb, self._open_network = memory_mb, open_network
        self._sessions: dict[Key, Session] = {}
        self._wanted: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._loader: ThreadPoolExecutor | None = None
        self._loading: Future[None] | None = None
        self._failed: set[Key] = set()
        self._process = os.getpid()  # a fork has no threads but the one that forked: sessions would wait for theirs
        self._closed = False

    def is_loaded(self, key: Key) -> bool:
        """Return whether a network is loaded."""
        return key in self._sessions

    def get(self, key: Key) -> Session:
        """Return a network that was found to be loaded.

        Raises:
            EdgeBertError: another thread has closed these networks meanwhile.
        """
        # Without the lock, which is held as long as a network is being loaded.
        session = self._sessions.get(key)
        if session is None:
            raise EdgeBertError(_CLOSED)
        return session

    def check(self) -> None:
        """Raise an EdgeBertError if these networks cannot be used, because they are closed or another process's."""
        if self._closed:
            raise EdgeBertError(_CLOSED)
        if os.getpid() != self._process:
            raise EdgeBertError("this Predictor was loaded before this process was forked; load another in it")

    def loaded(self) -> list[Key]:
        """Return which networks are loaded, the first loaded first."""
        return list(self._sessions)

    def fits(self, key: Key, peak_memory_mb: float) -> bool:
        """Return whether a network is loaded or may be, beside those that are."""
        if key in self._sessions:
            return True
        return key not in self._failed and (self._free_mb is None or peak_memory_mb <= self._free_mb)

    def load(self, key: Key, peak_memory_mb: float) -> Session:
        """Return a network, loading it now if it is not loaded; it counts against the memory whatever that allows."""
        self.check()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                logger.info("loading %s (%s)", *key)
                session = self._sessions[key] = self._open_network(*key)
                if self._free_mb is not None:
                    self._free_mb -= peak_memory_mb
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
        self._loading = self._loader.submit(self._load_quietly, key, peak_memory_mb)

    def wait(self) -> None:
        """Wait until nothing is being loaded."""
        if self._loading is not None:
            self._loading.result()

    def close(self) -> None:
        """Let go of the loaded networks."""
        self._closed = True
        # In a fork there is no such thread to wait for.
        if self._loader is not None and os.getpid() == self._process:
            self._loader.shutdown()
        self._sessions.clear()

    def _load_quietly(self, key: Key, peak_memory_mb: float) -> None:
        try:
            self.load(key, peak_memory_mb)
        except EdgeBertError as problem:
            logger.warning("%s (%s) cannot be loaded and is not used: %s", *key, problem)
            self._failed.add(key)
        del self._wanted[key]
