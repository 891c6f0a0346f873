"""What a process may use of its machine: the limits that a container sets, and those that imitate a smaller machine."""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import psutil

from edgebert.errors import EdgeBertError
from edgebert.records import Positive, Record

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIPS = Path("/proc/self/cgroup")
# Of the groups' kinds those that limit what counts here; "" is version 2, which has one group for all.
_CONTROLLERS = {"cpu", "memory", ""}
# What Linux writes for "no limit" in version 1 is beyond any machine.
_UNLIMITED_MB = 1e12 / 1e6


class Limits(Record, frozen=True):
    """Processors, of which a share can be granted, and memory; None is no limit."""

    cpus: Positive | None = None
    memory_mb: Positive | None = None

    def whole_cores(self, cores: int) -> int:
        """Return how many of so many cores are granted as a whole, at least one."""
        return max(1, min(cores, math.floor(self.cpus or cores)))

    def __str__(self) -> str:
        cpus = f"{self.cpus:g} processors" if self.cpus else ""
        memory = f"{self.memory_mb:g} MB" if self.memory_mb else ""
        return " and ".join(filter(None, (cpus, memory))) or "no limit"


def granted(root: Path = _CGROUPS, memberships: Path = _MEMBERSHIPS) -> Limits:
    """Return what the control groups in `root` grant this process, by the file that says which of them it is in."""
    cpus, memory_mb = [], []
    # A line for each group, such as 3:cpu:/a; in version 2 the controllers are left out.
    for controllers, path in re.findall(r"^[^:\n]*:([^:\n]*):(.*)$", system_file(memberships), re.MULTILINE):
        # Others set no limit, and each group takes several files to ask.
        if _CONTROLLERS.isdisjoint(controllers.split(",")):
            continue
        for folder in _folders(root / controllers, path):
            cpus += _cpus(folder)
            in_bytes = _numbers(folder / "memory.max") + _numbers(folder / "memory.limit_in_bytes")
            memory_mb += [value / 1e6 for value in in_bytes]

    return Limits(
        cpus=min(cpus, default=None),
        memory_mb=min((value for value in memory_mb if value < _UNLIMITED_MB), default=None),
    )


def usable_cores(limits: Limits | None = None) -> int:
    """Return the number of logical cores that this process may run on; what a container grants is rounded up.

    `limits` are what `granted` returns, for who has asked it already.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return min(allowed, math.ceil((limits or granted()).cpus or allowed))


def impose(limits: Limits, by_speed: Sequence[int] = ()) -> None:
    """Give this process, which should be a fresh one, no more than a smaller machine would have.

    Processors are taken away by affinity, those last that are first in `by_speed`. Memory is taken away by a limit on
    what is private to the process (RLIMIT_DATA).

    Raises:
        EdgeBertError: this system has no such limits.
    """
    process = psutil.Process()
    try:
        if limits.cpus is not None:
            places = {cpu: place for place, cpu in enumerate(by_speed)}
            allowed = sorted(process.cpu_affinity(), key=lambda cpu: places.get(cpu, len(places)))
            process.cpu_affinity(allowed[: limits.whole_cores(len(allowed))])
        if limits.memory_mb is not None:
            import resource

            # Not RLIMIT_AS: it would count mapped files, and so the weights, which the system may drop.
            most = round(limits.memory_mb * 1e6)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (AttributeError, ImportError, OSError, OverflowError, ValueError) as problem:
        raise EdgeBertError(f"this system cannot emulate {limits}: {problem}; emulate on Linux") from None


def system_file(path: Path) -> str:
    """Return what Linux says in a file; nothing where it cannot be read, or on another system."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _folders(root: Path, path: str) -> list[Path]:
    """Return where a group and all those around it have their files; each may set a limit."""
    group = root / path.lstrip("/")
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]


def _cpus(folder: Path) -> list[float]:
    # The microseconds of all cores that are granted in each period; "max" or -1 for all.
    version_2 = _numbers(folder / "cpu.max")
    version_1 = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
    return [quota[0] / quota[1] for quota in (version_2, version_1) if len(quota) == 2 and min(quota) > 0]


def _numbers(file: Path) -> list[float]:
    """Return the numbers in a file."""
    return [float(word) for word in system_file(file).split() if word.lstrip("-").isdigit()]
