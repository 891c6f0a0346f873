"""Measures a doubtful profile again while an app runs, as soon as the device is calm."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future

from edgebert.errors import EdgeBertError
from edgebert.measuring.device_profile import DeviceProfile

logger = logging.getLogger(__name__)

_EVERY_S = 20.0
_IDLE = 19  # nice


class BackgroundProfile:
    """A thread that asks for a profile now and then until it is no longer doubtful.

    What it measures runs at the lowest priority where the system has one for each thread (Linux).
    """

    def __init__(
        self, ask: Callable[[], DeviceProfile], use: Callable[[DeviceProfile], None], *, every_s: float | None = None
    ):
        """Begin; `ask` gives the profile as it is known now, and `use` takes each that is no longer doubtful."""
        self._ask, self._use, self._every_s = ask, use, _EVERY_S if every_s is None else every_s
        self._is_ended = threading.Event()
        # Python ends without waiting for it: what is half measured is measured again.
        self._thread = threading.Thread(target=self._run, name="edgebert-profile", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End soon: a measurement that has begun goes on to its end, and is kept."""
        self._is_ended.set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it has ended, at the latest after so many seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_ended.wait(self._every_s):
            asked: Future[DeviceProfile] = Future()
            # By a thread of its own, whose priority cannot be raised again: what `use` loads has threads that stay.
            threading.Thread(target=_answer_idly, args=(asked, self._ask), daemon=True).start()
            try:
                found = asked.result()
                if not found.is_doubtful:
                    self._use(found)
                    return
            except EdgeBertError as problem:
                logger.warning("the doubtful profile stays in use: %s", problem)
                return


def _answer_idly(asked: "Future[DeviceProfile]", ask: Callable[[], DeviceProfile]) -> None:
    """Have what comes of a call, made at the lowest priority."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _IDLE)
    try:
        asked.set_result(ask())
    except BaseException as problem:  # for who waits
        asked.set_exception(problem)
