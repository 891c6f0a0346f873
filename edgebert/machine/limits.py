"""What a process may use of its machine: the limits that a container sets, and those that imitate a smaller machine."""

import math
import os
from pathlib import Path
from typing import Annotated

import psutil
from msgspec import Meta

from edgebert.errors import EdgeBertError
from edgebert.records import Record

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIPS = Path("/proc/self/cgroup")
_UNLIMITED_MB = 1e12 / 1e6  # what Linux writes for "no limit" is beyond any machine


class Limits(Record, frozen=True):
    """Processors, of which a share can be granted, and memory; None is no limit."""

    cpus: Annotated[float, Meta(gt=0)] | None = None
    memory_mb: Annotated[float, Meta(gt=0)] | None = None

    def __str__(self) -> str:
        cpus = f"{self.cpus:g} processors" if self.cpus else ""
        memory = f"{self.memory_mb:g} MB" if self.memory_mb else ""
        return " and ".join(filter(None, (cpus, memory))) or "no limit"


def granted(root: Path = _CGROUPS, memberships: Path = _MEMBERSHIPS) -> Limits:
    """Return what the control groups of this process grant it, of version 1 or 2; no limits where there are none.

    `root` is where the groups have their files, `memberships` the file that says which of them the process is in.
    """
    cpus, memory_mb = [], []
    for controllers, path in _memberships(memberships):
        for folder in _folders(root / controllers, path):
            cpus += _cpus(folder)
            in_bytes = _numbers(folder / "memory.max") + _numbers(folder / "memory.limit_in_bytes")
            memory_mb += [value / 1e6 for value in in_bytes]

    return Limits(
        cpus=min(cpus, default=None),
        memory_mb=min((value for value in memory_mb if value < _UNLIMITED_MB), default=None),
    )


def impose(limits: Limits) -> None:
    """Give this process, which should be a fresh one, no more than a smaller machine would have.

    Processors are taken away by affinity, memory by a limit on what is private to the process (RLIMIT_DATA).

    Raises:
        EdgeBertError: this system has no such limits.
    """
    process = psutil.Process()
    try:
        if limits.cpus is not None:
            allowed = process.cpu_affinity()
            process.cpu_affinity(allowed[: max(1, math.floor(limits.cpus))])
        if limits.memory_mb is not None:
            import resource

            most = round(limits.memory_mb * 1e6)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (AttributeError, ImportError, OSError, OverflowError, ValueError) as problem:
        raise EdgeBertError(f"this system cannot emulate {limits}: {problem}; emulate on Linux") from None


def _memberships(file: Path) -> list[tuple[str, str]]:
    """Return the controllers and the path of each control group that this process is in."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(part[1], part[2]) for part in parts if len(part) == 3]


def _folders(root: Path, path: str) -> list[Path]:
    """Return where a group and all those around it have their files; each may set a limit."""
    group = root / path.lstrip("/")
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]


def _cpus(folder: Path) -> list[float]:
    version_2 = _numbers(folder / "cpu.max")
    version_1 = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
    return [quota[0] / quota[1] for quota in (version_2, version_1) if len(quota) == 2 and min(quota) > 0]


def _numbers(file: Path) -> list[float]:
    """Return the numbers in a file; none where it cannot be read."""
    try:
        words = file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
    return [float(word) for word in words if word.lstrip("-").isdigit()]


def usable_cores() -> int:
    """Return the number of logical cores that this process may run on; what a container grants is rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return min(allowed, math.ceil(granted().cpus or allowed))
