"""What machine this is: the part of a profile that says where its numbers come from."""

import hashlib
import platform
import re
from collections.abc import Collection
from pathlib import Path

import msgspec
import psutil

from edgebert.machine.limits import Limits, granted, system_file, usable_cores
from edgebert.records import Count, Line, Record

_CPU_INFO = Path("/proc/cpuinfo")
_POWER_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
# The instruction sets that decide how fast, and for int8 how right, matrix products are.
_RELEVANT_SETS = re.compile(
    r"avx2|avx_vnni|avx512f|avx512_vnni|avx512_bf16|amx_(int8|bf16)|fma|asimd(dp|hp)?|i8mm|bf16|sve2?"
)
_VNNI = {"avx_vnni", "avx512_vnni", "amx_int8"}


class Device(Record, frozen=True):
    """A machine as a profile describes it; `usable_cores` are those that this process may run on."""

    cpu: Line
    architecture: Line
    instruction_sets: tuple[Line, ...]
    physical_cores: Count
    usable_cores: Count
    memory_mb: Count
    limits: Limits
    os: Line
    power_governor: Line | None

    @property
    def fingerprint(self) -> str:
        """A short name that differs between machines on which timings are not comparable."""
        # Memory and system are left out: what changed there is for the canary to tell (see `profile_cache.find`).
        lasting = (self.cpu, self.architecture, self.instruction_sets, self.physical_cores, self.usable_cores)
        return hashlib.sha256(msgspec.json.encode((*lasting, self.limits.cpus))).hexdigest()[:16]

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
        return changes

    def __str__(self) -> str:
        return f"{self.cpu}, {self.usable_cores} cores, {self.memory_mb / 1000:.0f} GB, {self.os}"


def this_device() -> Device:
    """Return the machine that this process runs on."""
    facts = _cpu_facts()
    return Device(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        instruction_sets=_instruction_sets(facts),
        physical_cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_mb=round(psutil.virtual_memory().total / 1e6),
        limits=granted(),
        os=f"{platform.system()} {platform.release()}",
        power_governor=system_file(_POWER_GOVERNOR).strip() or None,
    )


def default_threads() -> int:
    """Return the number of physical cores that this process may use: more threads than that slow products down."""
    cores = usable_cores()
    # Of what a container grants the whole processors count: a thread that waits for its share holds all others up.
    return granted().whole_cores(min(cores, psutil.cpu_count(logical=False) or cores))


def thread_counts() -> tuple[int, ...]:
    """Return the thread counts worth measuring: one, half of the usable physical cores, and all of them."""
    # Fewer than all are slower as a rule, but leave cores to the app.
    most = default_threads()
    return tuple(sorted({1, max(1, most // 2), most}))


def saturates_int8(architecture: str | None = None, instruction_sets: Collection[str] | None = None) -> bool:
    """Return whether sums of uint8 times int8 saturate here, or on another processor with these instruction sets."""
    if instruction_sets is None:
        instruction_sets = _instruction_sets(_cpu_facts())
    # On x86 two products are added in 16 bits, unless the processor has VNNI, which adds four in 32.
    return (architecture or platform.machine()).lower() in ("x86_64", "amd64") and _VNNI.isdisjoint(instruction_sets)


def _cpu_facts() -> dict[str, str]:
    """Return what Linux says of the first processor; nothing elsewhere."""
    lines = (line.partition(":") for line in system_file(_CPU_INFO).partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _instruction_sets(facts: dict[str, str]) -> tuple[str, ...]:
    flags = facts.get("flags") or facts.get("Features") or ""  # on x86, on Arm
    return tuple(sorted(flag for flag in flags.split() if _RELEVANT_SETS.fullmatch(flag)))
