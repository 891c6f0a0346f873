"""Waits for what other processes do, however busy the machine is."""

import time
from collections.abc import Callable

import psutil


def soon(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true within two minutes."""
    return any(condition() or time.sleep(0.05) for _ in range(2400))


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, even if nobody has asked for its exit status."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def trial_of(profiler: psutil.Process) -> psutil.Process:
    """Return the process of the first trial that a profiler starts, most likely when it is measuring."""
    trials: list[psutil.Process] = []

    def started() -> bool:
        trials[:] = [one for one in profiler.children() if "edgebert.measuring.trial" in one.cmdline()]
        return bool(trials)

    assert soon(started)
    time.sleep(2)
    return trials[0]
