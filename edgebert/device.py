"""What machine this is: the part of a profile that says where its numbers come from."""

import hashlib
import os
import platform
import re
from pathlib import Path

import msgspec
import psutil

from edgebert.records import Record


class Device(Record, frozen=True):
    """A machine as a profile describes it; `usable_cores` are those that this process may run on."""

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    physical_cores: int
    usable_cores: int
    memory_mb: int
    os: str

    @property
    def fingerprint(self) -> str:
        """A short name that differs between machines on which timings are not comparable."""
        without_memory = msgspec.structs.replace(self, memory_mb=0)  # the total differs a little from boot to boot
        return hashlib.sha256(msgspec.json.encode(without_memory)).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.cpu}, {self.usable_cores} cores, {self.memory_mb / 1000:.0f} GB, {self.os}"


def this_device() -> Device:
    """Return the machine that this process runs on."""
    facts = _cpu_facts()
    return Device(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        instruction_sets=_instruction_sets(facts.get("flags") or facts.get("Features") or ""),
        physical_cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_mb=round(psutil.virtual_memory().total / 1e6),
        os=f"{platform.system()} {platform.release()}",
    )


def usable_cores() -> int:
    """Return the number of logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1


def default_threads() -> int:
    """Return the number of physical cores that this process may use: more threads than that slow products down."""
    return min(usable_cores(), psutil.cpu_count(logical=False) or usable_cores())


def _cpu_facts() -> dict[str, str]:
    """Return the first processor's lines of /proc/cpuinfo; nothing where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


# The instruction sets that decide how fast, and for int8 how right, matrix products are.
_TELLING = re.compile(
    r"avx2|avx_vnni|avx512f|avx512_vnni|avx512_bf16|amx_(int8|bf16)|fma|asimd(dp|hp)?|i8mm|bf16|sve2?"
)


def _instruction_sets(flags: str) -> tuple[str, ...]:
    return tuple(sorted(flag for flag in flags.split() if _TELLING.fullmatch(flag)))
