import re
import struct
import sys
from collections.abc import Sequence

import pytest

from edgebert.machine import windows_processor
from edgebert.machine.windows_processor import described

# As `reg query` prints the two keys.
SNAPDRAGON = r"""
HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\CentralProcessor\0
    ProcessorNameString    REG_SZ    Snapdragon(R) X Elite - X1E80100 - Qualcomm(R) Oryon(TM) CPU
    ~MHz    REG_DWORD    0xd68

HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\BIOS
    SystemProductName    REG_SZ    Microsoft Surface Laptop, 7th Edition
"""
INTEL = r"""
HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\CentralProcessor\0
    ProcessorNameString    REG_SZ    12th Gen Intel(R) Core(TM) i5-12600K
    ~MHz    REG_DWORD    0xe68
"""


def values(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^    (\S+) +REG_SZ +(.*)$", printed, re.MULTILINE))


def cpu_sets(cores: Sequence[tuple[int, int]]) -> bytes:
    """Return what GetSystemCpuSetInformation writes for logical cores: the physical one and its class of efficiency."""
    return b"".join(
        struct.pack("<IIIHBBBBBBIQ", 32, 0, 256 + number, 0, number, core, 0, 0, efficiency, 0, 0, 0)
        for number, (core, efficiency) in enumerate(cores)
    )


def test_cores_are_put_together_by_their_efficiency_the_most_powerful_first() -> None:
    logical = [(core, 1) for core in (0, 0, 2, 2)] + [(core, 0) for core in (4, 5)]
    found = described(values(INTEL), lambda number: number == 40, cpu_sets(logical))
    assert (found.name, found.board) == ("12th Gen Intel(R) Core(TM) i5-12600K", None)
    assert found.instruction_sets == ("avx2",)
    assert [(group.cores[0].kind.rpartition("i5-12600K ")[2], len(group.cores)) for group in found.groups] == [
        ("efficiency class 1", 2),
        ("efficiency class 0", 2),
    ]
    assert found.cores[0].cpus == {0, 1}


def test_cores_that_are_all_alike_have_the_processors_name() -> None:
    found = described(
        values(SNAPDRAGON), {19, 43, 66, 67, 68}.__contains__, cpu_sets([(core, 0) for core in range(12)])
    )
    assert found.board == "Microsoft Surface Laptop, 7th Edition"
    assert found.instruction_sets == ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")
    assert [(group.cores[0].kind, len(group.cores)) for group in found.groups] == [(found.name, 12)]


def test_a_machine_without_a_name_and_cores_that_are_not_told_are_no_error() -> None:
    found = described({}, lambda number: False, b"\x01", otherwise="ARM64")
    assert (found.name, found.board, found.instruction_sets, found.cores) == ("ARM64", None, (), ())


@pytest.mark.skipif(sys.platform != "win32", reason="this is not Windows")
def test_this_windows_machine_tells_what_it_is() -> None:
    assert windows_processor.processor().cores
