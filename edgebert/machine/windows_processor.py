"""What processor this is, as Windows tells it: the registry, and two functions of its kernel library."""

import struct
import sys
from collections.abc import Callable, Iterator, Mapping

from edgebert.machine.processor import Core, Processor, printable_name, relevant_sets

# By the numbers of IsProcessorFeaturePresent (winnt.h); Windows does not tell whether an x86 processor has VNNI.
_FEATURES = {
    19: "asimd",
    40: "avx2",
    41: "avx512f",
    43: "asimddp",
    46: "sve",
    47: "sve2",
    66: "i8mm",
    67: "asimdhp",
    68: "bf16",
    70: "sme",
    71: "sme2",
}
# The start of SYSTEM_CPU_SET_INFORMATION: size, type, id, group, logical and physical core, cache, node, efficiency.
_CPU_SET = struct.Struct("<IIIHBBBBB")
_CPU_SET_TYPE = 0

_PROCESSOR_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
_BOARD_KEY = r"HARDWARE\DESCRIPTION\System\BIOS"


def processor(*, otherwise: str = "unknown processor") -> Processor:
    """Return the processor of this Windows machine, called `otherwise` where it has no name."""
    if sys.platform != "win32":
        raise OSError("this is not Windows")
    import ctypes
    import winreg

    values = {}
    for key, name in ((_PROCESSOR_KEY, "ProcessorNameString"), (_BOARD_KEY, "SystemProductName")):
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                values[name] = str(winreg.QueryValueEx(opened, name)[0])
        except OSError:
            continue  # a machine without a name

    kernel = ctypes.WinDLL("kernel32")
    size = ctypes.c_ulong(0)
    kernel.GetSystemCpuSetInformation(None, 0, ctypes.byref(size), None, 0)
    content = ctypes.create_string_buffer(size.value)
    kernel.GetSystemCpuSetInformation(content, size.value, ctypes.byref(size), None, 0)
    return described(values, kernel.IsProcessorFeaturePresent, content.raw[: size.value], otherwise=otherwise)


def described(
    values: Mapping[str, str], has: Callable[[int], int], cpu_sets: bytes, *, otherwise: str = "unknown processor"
) -> Processor:
    """Return a processor by values of the registry, the features that it has by number, and its logical cores."""
    name = printable_name(values.get("ProcessorNameString", "")) or otherwise
    return Processor(
        name=name,
        board=printable_name(values.get("SystemProductName", "")) or None,
        instruction_sets=relevant_sets(ours for number, ours in _FEATURES.items() if has(number)),
        cores=tuple(_cores(cpu_sets, name)),
    )


def _cores(cpu_sets: bytes, name: str) -> Iterator[Core]:
    """Yield each physical core, the most powerful first: Windows gives these the highest class of efficiency."""
    logical: dict[tuple[int, int, int], set[int]] = {}
    for _, _, _, group, cpu, core, _, _, efficiency in _structures(cpu_sets):
        logical.setdefault((-efficiency, group, core), set()).add(64 * group + cpu)
    classes = sorted({key[0] for key in logical})
    for key, cpus in sorted(logical.items()):
        kind = name if len(classes) == 1 else f"{name} efficiency class {-key[0]}"
        yield Core(kind, frozenset(cpus))


def _structures(content: bytes) -> Iterator[tuple[int, ...]]:
    """Yield the start of each structure that Windows wrote one after the other; each says how long it is."""
    at = 0
    while at + _CPU_SET.size <= len(content):
        found = _CPU_SET.unpack_from(content, at)
        if found[1] == _CPU_SET_TYPE:
            yield found
        at += max(found[0], _CPU_SET.size)
