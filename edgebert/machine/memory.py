"""What this process holds of the machine's memory, in MB. A fresh process is measured: memory is never given back."""

import sys
from pathlib import Path
from typing import NamedTuple

import psutil


class Memory(NamedTuple):
    """The memory of a process: resident now, of that private, which no file backs, and the most ever resident."""

    resident_mb: float
    private_mb: float
    peak_mb: float


def process_memory() -> Memory:
    """Return what this process holds."""
    return Memory(_resident_mb(), _private_mb(), _peak_mb())


def _resident_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def _private_mb() -> float:
    """Return on Linux what no file backs, elsewhere the unique set size."""
    anonymous_mb = _status_mb("RssAnon:")
    return float(psutil.Process().memory_full_info().uss / 1e6) if anonymous_mb is None else anonymous_mb


def _peak_mb() -> float:
    peak_mb = _status_mb("VmHWM:")  # not getrusage: on Linux it starts from what the parent process held
    if peak_mb is not None:
        return peak_mb
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _status_mb(key: str) -> float | None:
    """Return what Linux says of this process, None elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key)), None)
