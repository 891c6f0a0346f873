"""What this process holds of the machine's memory, in MB. A fresh process is measured: memory is never given back."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from edgebert.machine.limits import system_file

_STATUS = Path("/proc/self/status")


class Memory(NamedTuple):
    """The memory of a process: resident now, of that private, which no file backs, and the most ever resident."""

    resident_mb: float
    private_mb: float
    peak_mb: float


def process_memory() -> Memory:
    """Return what this process holds; private is the unique set size where Linux does not tell what no file backs."""
    process = psutil.Process()
    resident_mb = process.memory_info().rss / 1e6
    status = re.findall(r"^(RssAnon|VmHWM):\s+(\d+) kB$", system_file(_STATUS), re.MULTILINE)
    # Not psutil for these: its unique set size has pages of the weight file too, and it knows no peak.
    status_mb = {name: int(kib) * 1024 / 1e6 for name, kib in status}
    private_mb = status_mb.get("RssAnon") or process.memory_full_info().uss / 1e6
    return Memory(resident_mb, private_mb, status_mb.get("VmHWM") or _peak_mb(process))


def _peak_mb(process: psutil.Process) -> float:
    """Return the most ever resident, where there is no VmHWM."""
    if sys.platform == "win32":
        return float(process.memory_info().peak_wset / 1e6)
    import resource

    # Not on Linux if it can be helped: there it starts from what the parent process held.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
