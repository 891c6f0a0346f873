"""What a forked process must not destroy: objects of native libraries whose threads it does not have."""

import ctypes
import os
import weakref
from typing import Any

_KEPT: "weakref.WeakSet[Any]" = weakref.WeakSet()
_FORKS: list[int] = []  # the numbers of this process and of those before it, as far as they are forks


def keep_in_forks(native: Any, *, of_forks: bool = False) -> None:
    """Have forked processes keep an object of a native library, even when they end.

    With `of_forks` also an object that is made in a forked process, in which the library has lost threads before.
    """
    if of_forks and _FORKS:
        _keep_for_ever(native)
    _KEPT.add(native)


def _keep_for_ever(native: Any) -> None:
    # To destroy it is to wait for its threads, which no fork has: that hangs or aborts. A reference that nobody gives
    # back is all that Python's end respects; the memory is the parent's until it is written to.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def _begin_fork() -> None:
    _FORKS.append(os.getpid())
    for native in _KEPT:
        _keep_for_ever(native)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)
