"""What processor this is, as Linux tells it: the files of /proc and /sys, and no process."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from edgebert.machine.arm_parts import core_name
from edgebert.machine.limits import system_file
from edgebert.machine.processor import Core, Processor, grouped, printable_name, relevant_sets

_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
# What each of ARM's cores tells of itself, after a line with its number.
_ARM_FACTS = r"^(processor|CPU (?:implementer|variant|part|revision))\s*:\s*(\w+)$"
# Where Linux lists the cores of each kind of a hybrid x86 processor.
_X86_KINDS = {"cpu_core": "P-core", "cpu_atom": "E-core", "cpu_lowpower": "LP E-core"}


def processor(root: Path = _ROOT, *, otherwise: str = "unknown processor") -> Processor:
    """Return the processor of the machine whose files are under `root`, called `otherwise` where they give no name."""
    text = system_file(root / "proc/cpuinfo")
    # Each core has a paragraph; what is of all stands in the first, or on its own in the last or the one before.
    last = text.rstrip().rsplit("\n\n", 2)[-2:]
    facts = facts_in("\n".join(last)) | facts_in(text.partition("\n\n")[0])
    name = printable_name(facts.get("model name") or facts.get("uarch") or "") or otherwise
    arm = _arm_kinds(text)
    kinds = arm or _x86_kinds(root)
    # Older kernels give ARM's numbers once for all cores, and a core may have been switched on just now.
    usual = next(iter(arm.values()), name)
    cores = tuple(_core(root, number, logical, kinds.get(number, usual)) for number, logical in _cores(root, text))
    board = printable_name(
        system_file(root / "proc/device-tree/model") or facts.get("Model") or facts.get("Hardware") or ""
    )
    return Processor(
        name=_arm_name(cores) if arm else name,
        board=board or None,  # x86 computers have no such file, and the names that their makers gave them tell little
        instruction_sets=relevant_sets((facts.get("flags") or facts.get("Features") or "").split()),
        cores=cores,
    )


def facts_in(text: str) -> dict[str, str]:
    """Return what lines such as `model name : AMD EPYC` say, by name."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _arm_kinds(text: str) -> dict[int, str]:
    """Return the kind of each of ARM's cores, such as ARM Cortex-A76 r4p1, by its number; none on other processors."""
    if "CPU implementer" not in text:
        return {}
    facts: dict[int, dict[str, str]] = {}
    number = 0
    for name, value in re.findall(_ARM_FACTS, text, re.MULTILINE):
        if name == "processor":
            number = int(value) if value.isdigit() else number
        else:
            facts.setdefault(number, {})[name.removeprefix("CPU ")] = value
    kinds = {}
    for number, one in facts.items():
        with contextlib.suppress(KeyError, ValueError):
            called = core_name(int(one["implementer"], 0), int(one["part"], 0))
            kinds[number] = f"{called} r{int(one['variant'], 0)}p{int(one['revision'], 0)}"
    return kinds


def _arm_name(cores: tuple[Core, ...]) -> str:
    """Return what a processor is called by its cores, the fastest first: ARM's say nothing of the chip around them."""
    called = [group.cores[0].kind.rpartition(" ")[0] for group in grouped(cores)]
    return " + ".join(dict.fromkeys(called))


def _x86_kinds(root: Path) -> dict[int, str]:
    """Return the kind of each core of a hybrid x86 processor, by its number; none on others."""
    lists = ((system_file(root / f"sys/devices/{name}/cpus"), kind) for name, kind in _X86_KINDS.items())
    return {number: kind for text, kind in lists for number in numbers_in(text)}


def _cores(root: Path, text: str) -> Iterator[tuple[int, frozenset[int]]]:
    """Yield each physical core that is switched on: its first logical one, and all that it has."""
    online = numbers_in(system_file(root / _CPUS / "online"))
    seen: set[int] = set()
    for number in online or [int(value) for value in re.findall(r"^processor\s*:\s*(\d+)$", text, re.MULTILINE)]:
        if number not in seen:
            topology = root / _CPUS / f"cpu{number}/topology"
            # The second is what the first was called before Linux 5.3.
            listed = system_file(topology / "core_cpus_list") or system_file(topology / "thread_siblings_list")
            siblings = frozenset(numbers_in(listed)) | {number}
            seen |= siblings
            yield number, siblings


def _core(root: Path, number: int, siblings: frozenset[int], kind: str) -> Core:
    folder = root / _CPUS / f"cpu{number}"
    clock_khz = number_in(folder / "cpufreq/cpuinfo_max_freq")
    return Core(
        kind=kind,
        cpus=siblings,
        max_clock_mhz=clock_khz / 1000 if clock_khz else None,
        capacity=number_in(folder / "cpu_capacity") or None,
    )


def number_in(path: Path) -> float | None:
    """Return the number that a file of Linux holds; None if it cannot be read or holds none."""
    with contextlib.suppress(ValueError):
        return float(int(system_file(path)))
    return None


def numbers_in(text: str) -> list[int]:
    """Return the numbers of a list as Linux writes it, such as 0-3,8."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers
