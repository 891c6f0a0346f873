"""What holds while Python ends: native calls are not cut short, and work is done although no pool takes any more."""

import atexit
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# What no call takes: Python ends in any case.
_PATIENCE_S = 60.0


class _NativeCalls(contextlib.ContextDecorator):
    """A context or decorator for calls during which other threads of Python run; Python waits for them when it ends.

    A daemon thread that comes back from one after Python has ended is unwound by the system, through frames of C++ and
    Rust that abort the process for it (status 134).
    """

    def __init__(self) -> None:
        self._threads: list[int] = []  # a thread once for each call, of which one may be within another
        self._last_thread: int | None = None  # the only one that still calls while Python ends

    def __enter__(self) -> None:
        thread = get_ident()
        # In this order: whoever passes the second line is seen by `end`.
        self._threads.append(thread)
        if self._last_thread is not None and self._last_thread != thread:
            self._threads.remove(thread)
            # Ends the thread without a message, as Python would have done a moment later.
            raise SystemExit

    def __exit__(self, *_: object) -> None:
        self._threads.remove(get_ident())

    def end(self) -> None:
        """Let other threads begin no more calls, and wait for those that run."""
        self._last_thread = get_ident()
        deadline_s = time.monotonic() + _PATIENCE_S
        with contextlib.suppress(KeyboardInterrupt):
            while set(self._threads) - {self._last_thread} and time.monotonic() < deadline_s:
                time.sleep(0.001)

    def forget(self) -> None:
        """Begin anew in a forked process, which has no thread but the one that forked."""
        self._threads.clear()


NATIVE_CALL = _NativeCalls()

# Non-daemon threads have ended by then.
atexit.register(NATIVE_CALL.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=NATIVE_CALL.forget)


class Pool(ThreadPoolExecutor):
    """A pool of threads; where it takes no more work, a call is made by who asks for it, before `submit` returns.

    Pools take none from the moment on when the main thread has ended, while others may work on for hours.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Have a thread make a call, or make it now."""
        with contextlib.suppress(RuntimeError):
            return super().submit(fn, *args, **kwargs)
        made: Future[T] = Future()
        try:
            made.set_result(fn(*args, **kwargs))
        except BaseException as problem:  # whatever a thread of the pool would have kept for who asks
            made.set_exception(problem)
        return made
