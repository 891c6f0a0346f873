"""What machine this is: the part of a profile that says where its numbers come from."""

import hashlib
import itertools
import os
import platform
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import psutil
from msgspec import Meta

from edgebert.machine import apple_processor, linux_processor, windows_processor
from edgebert.machine.limits import Limits, granted, system_file, usable_cores
from edgebert.machine.processor import Core, CoreGroup, Processor
from edgebert.records import Count, Line, Natural, Positive, Record

_POWER_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_VNNI = {"avx_vnni", "avx512_vnni", "amx_int8"}


class Cluster(Record, frozen=True):
    """Cores of one kind and about the same speed: on ARM who designed them, their name and revision.

    `usable_cores` are those that this process may run on. `max_clock_mhz` is what the system says the clock can be, and
    `capacity` how fast Linux believes a core to be beside the machine's fastest, which has 1024; None where they are
    not told.
    """

    kind: Line
    cores: Count
    usable_cores: Natural
    max_clock_mhz: Positive | None
    capacity: Positive | None

    def __post_init__(self) -> None:
        if self.usable_cores > self.cores:
            raise ValueError(f"expected at most {self.cores} usable cores in a cluster, found {self.usable_cores}")

    def __str__(self) -> str:
        clock = f" at {self.max_clock_mhz:.0f} MHz" if self.max_clock_mhz else ""
        usable = "" if self.usable_cores == self.cores else f", {self.usable_cores} usable"
        return f"{self.cores} x {self.kind}{clock}{usable}"


class Device(Record, frozen=True, tag_field="runtime", tag="python"):
    """A machine as a profile that Python measured describes it.

    `usable_cores` are those that this process may run on, logical ones too. `board` is the model of the board or
    computer where the system tells it. `clusters` are its physical cores, the fastest first: n threads are meant for
    the n fastest cores. Nothing is bound to them: that busy threads get the fast ones is the system's doing.
    """

    RUNTIME: ClassVar[str] = "edgebert in Python"

    cpu: Line
    board: Line | None
    architecture: Line
    instruction_sets: tuple[Line, ...]
    physical_cores: Count
    usable_cores: Count
    clusters: Annotated[tuple[Cluster, ...], Meta(min_length=1)]
    memory_mb: Count
    limits: Limits
    os: Line
    power_governor: Line | None

    def __post_init__(self) -> None:
        cores = sum(cluster.cores for cluster in self.clusters)
        if cores != self.physical_cores:
            raise ValueError(f"expected clusters of {self.physical_cores} physical cores in all, found {cores}")

    @property
    def fingerprint(self) -> str:
        """A short name that differs between machines on which timings are not comparable."""
        # Memory, system and clocks are left out: what changed there is for the canary to tell (`profile_cache.find`).
        lasting = (self.cpu, self.board, self.architecture, self.instruction_sets)
        cores = (self.physical_cores, self.usable_cores, self.limits.cpus)
        clusters = [(cluster.kind, cluster.cores, cluster.usable_cores) for cluster in self.clusters]
        return hashlib.sha256(msgspec.json.encode((lasting, cores, clusters))).hexdigest()[:16]

    def changes_since(self, earlier: "Device") -> list[str]:
        """Return in words what may have changed the speed of the same machine: all that its fingerprint forgives."""
        changes = []
        # The total differs a little from boot to boot.
        if abs(self.memory_mb - earlier.memory_mb) > 0.05 * earlier.memory_mb:
            changes.append(f"memory from {earlier.memory_mb} to {self.memory_mb} MB")
        if self.limits.memory_mb != earlier.limits.memory_mb:
            changes.append(f"memory limit from {earlier.limits.memory_mb} to {self.limits.memory_mb} MB")
        if self.os != earlier.os:
            changes.append(f"system from {earlier.os} to {self.os}")
        if self.power_governor != earlier.power_governor:
            changes.append(f"power governor from {earlier.power_governor} to {self.power_governor}")
        before, now = (", ".join(map(_mhz, device.clusters)) for device in (earlier, self))
        if before != now:
            changes.append(f"maximum clock from {before} to {now}")
        return changes

    def __str__(self) -> str:
        name = f"{self.board} ({self.cpu})" if self.board else self.cpu
        return f"{name}, {self.usable_cores} cores, {self.memory_mb / 1000:.0f} GB, {self.os}"


def this_device() -> Device:
    """Return the machine that this process runs on."""
    return device_with(this_processor(), _allowed())


def device_with(processor: Processor, allowed: frozenset[int] | None) -> Device:
    """Return this machine as it is with a processor, of whose logical cores this process may run on those allowed."""
    limits = granted()
    return Device(
        cpu=processor.name,
        board=processor.board,
        architecture=platform.machine(),
        instruction_sets=processor.instruction_sets,
        physical_cores=len(processor.cores),
        usable_cores=usable_cores(limits),
        clusters=tuple(_cluster(group, allowed) for group in processor.groups),
        memory_mb=round(psutil.virtual_memory().total / 1e6),
        limits=limits,
        os=f"{platform.system()} {platform.release()}",
        power_governor=system_file(_POWER_GOVERNOR).strip() or None,
    )


# Once: what a processor is does not change, and a machine of a hundred cores has hundreds of files that tell it.
@cache
def this_processor() -> Processor:
    """Return the processor of this machine, as its system tells it."""
    # Not `platform.processor()` for its name: on Linux that starts a process.
    name = platform.machine() or "unknown processor"
    if sys.platform == "win32":
        found = windows_processor.processor(otherwise=name)
    elif sys.platform == "darwin":
        found = apple_processor.processor(otherwise=name)
    else:
        found = linux_processor.processor(otherwise=name)
    if found.cores:
        return found
    count = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return Processor(found.name, found.board, found.instruction_sets, cores=(Core(found.name),) * count)


def default_threads() -> int:
    """Return on how many threads a network is run where nothing was measured: those of `Processor.usual_threads`."""
    # Of what a container grants the whole processors count: a thread that waits for its share holds all others up.
    return granted().whole_cores(this_processor().usual_threads(_allowed()))


def thread_counts() -> tuple[int, ...]:
    """Return the thread counts worth measuring, in ascending order: those of `Processor.thread_counts`."""
    limits = granted()
    return tuple(sorted({limits.whole_cores(count) for count in this_processor().thread_counts(_allowed())}))


def fastest_cpus() -> list[int]:
    """Return a number for each core of the fastest cluster that this process may run on, if the system tells any."""
    groups = this_processor().usable(_allowed())
    return [min(core.cpus) for core in groups[0].cores if core.cpus] if groups else []


def cpus_by_speed() -> list[int]:
    """Return the numbers of the logical cores, the fastest first; of each core one, and then those that share it."""
    cores = [sorted(core.cpus) for group in this_processor().groups for core in group.cores]
    return [cpu for turn in itertools.zip_longest(*cores) for cpu in turn if cpu is not None]


def is_x86(architecture: str | None = None) -> bool:
    """Return whether this processor is one of Intel's kind, or another architecture is."""
    return (architecture or platform.machine()).lower() in ("x86_64", "amd64")


def has_sme() -> bool:
    """Return whether this is a processor of Arm's with matrix extensions, which ONNX Runtime uses through KleidiAI."""
    return "sme" in this_processor().instruction_sets


def saturates_int8(architecture: str | None = None, instruction_sets: Collection[str] | None = None) -> bool:
    """Return whether sums of uint8 times int8 saturate here, or on another processor with these instruction sets."""
    if instruction_sets is None:
        instruction_sets = this_processor().instruction_sets
    # On x86 two products are added in 16 bits, unless the processor has VNNI, which adds four in 32.
    return is_x86(architecture) and _VNNI.isdisjoint(instruction_sets)


def _allowed() -> frozenset[int] | None:
    """Return the numbers of the logical cores that this process may run on; None where the system binds none."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _cluster(group: CoreGroup, allowed: frozenset[int] | None) -> Cluster:
    fastest = group.cores[0]
    return Cluster(
        kind=fastest.kind,
        cores=len(group.cores),
        usable_cores=sum(core.is_usable(allowed) for core in group.cores),
        max_clock_mhz=fastest.max_clock_mhz,
        capacity=fastest.capacity,
    )


def _mhz(cluster: Cluster) -> str:
    return f"{cluster.max_clock_mhz:.0f} MHz" if cluster.max_clock_mhz else "unknown"
