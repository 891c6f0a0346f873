from pathlib import Path

import pytest
from machines import A53, A76, ARMV8_0, CPUS, MACHINES, OF_THE_FUTURE, arm, write

from edgebert.machine.linux_processor import number_in, numbers_in, processor

# Of each cluster how many cores it has, of what kind and at which clock; with the name and the board before.
KNOWN = {
    "Raspberry Pi 3": ("ARM Cortex-A53", "Raspberry Pi 3 Model B Rev 1.2", [(4, "ARM Cortex-A53 r0p4", 1200.0)]),
    "Raspberry Pi 4": ("ARM Cortex-A72", "Raspberry Pi 4 Model B Rev 1.1", [(4, "ARM Cortex-A72 r0p3", 1500.0)]),
    "Raspberry Pi 400": ("ARM Cortex-A72", "Raspberry Pi 400 Rev 1.0", [(4, "ARM Cortex-A72 r0p3", 1800.0)]),
    "Raspberry Pi 5": ("ARM Cortex-A76", "Raspberry Pi 5 Model B Rev 1.0", [(4, "ARM Cortex-A76 r4p1", 2400.0)]),
    "Snapdragon 8 Gen 1": (
        "ARM Cortex-X2 + ARM Cortex-A710 + ARM Cortex-A510",
        "Qualcomm Technologies, Inc SM8450",
        [
            (1, "ARM Cortex-X2 r2p0", 2995.2),
            (3, "ARM Cortex-A710 r2p0", 2496.0),
            (4, "ARM Cortex-A510 r0p2", 1785.6),
        ],
    ),
    "Graviton 2": ("ARM Neoverse-N1", None, [(4, "ARM Neoverse-N1 r3p1", None)]),
    "Graviton 3": ("ARM Neoverse-V1", None, [(4, "ARM Neoverse-V1 r1p1", None)]),
    "MacBook Air M1": (
        "Apple Firestorm M1 + Apple Icestorm M1",
        "Apple MacBook Air (M1, 2020)",
        [(4, "Apple Firestorm M1 r1p1", 3204.0), (4, "Apple Icestorm M1 r1p1", 2064.0)],
    ),
    "ROCK 5B": (
        "ARM Cortex-A76 + ARM Cortex-A55",
        "Radxa ROCK 5B",
        [(4, "ARM Cortex-A76 r4p0", 2400.0), (4, "ARM Cortex-A55 r2p0", 1800.0)],
    ),
    "Core i5-12600K": (
        "12th Gen Intel(R) Core(TM) i5-12600K",
        None,
        [(6, "P-core", 4900.0), (4, "E-core", 3600.0)],
    ),
    "EPYC 7763": (
        "AMD EPYC 7763 64-Core Processor",
        None,
        [(4, "AMD EPYC 7763 64-Core Processor", 3529.0)],
    ),
}


def test_all_machines_are_known() -> None:
    assert KNOWN.keys() == MACHINES.keys()


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_told_by_its_files(tmp_path: Path, name: str) -> None:
    found = processor(write(tmp_path, MACHINES[name]))
    clusters = [
        (len(group.cores), group.cores[0].kind, max((core.max_clock_mhz or 0) for core in group.cores) or None)
        for group in found.groups
    ]
    assert (found.name, found.board, clusters) == KNOWN[name]


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("Raspberry Pi 4", ("asimd",)),
        ("Raspberry Pi 5", ("asimd", "asimddp", "asimdhp")),
        ("Snapdragon 8 Gen 1", ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")),
        ("Graviton 3", ("asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "svebf16", "svei8mm")),
        ("Core i5-12600K", ("avx2", "avx_vnni", "fma")),
        ("EPYC 7763", ("avx2", "fma")),
    ],
)
def test_instruction_sets_are_those_of_the_cores(tmp_path: Path, name: str, sets: tuple[str, ...]) -> None:
    assert processor(write(tmp_path, MACHINES[name])).instruction_sets == sets


def test_a_core_has_all_logical_ones_that_share_it(tmp_path: Path) -> None:
    found = processor(write(tmp_path, MACHINES["EPYC 7763"]))
    assert {core.cpus for core in found.cores} == {frozenset(pair) for pair in ((0, 4), (1, 5), (2, 6), (3, 7))}


def test_cores_that_are_not_known_here_are_told_by_their_numbers(tmp_path: Path) -> None:
    strange = [OF_THE_FUTURE, ("0x99", "0x001", "0x1", "2")]
    found = processor(write(tmp_path, arm(strange, ARMV8_0)))
    assert [core.kind for core in found.cores] == ["ARM part 0xfff r0p0", "implementer 0x99 part 0x001 r1p2"]


def test_cores_that_are_switched_off_are_not_counted(tmp_path: Path) -> None:
    files = arm([A53] * 4 + [A76] * 4, ARMV8_0) | {f"{CPUS}/online": "0-3,6\n"}
    assert len(processor(write(tmp_path, files)).cores) == 5


def test_older_kernels_tell_of_all_cores_at_once(tmp_path: Path) -> None:
    text = (
        "Processor\t: ARMv7 Processor rev 3 (v7l)\nprocessor\t: 0\nBogoMIPS\t: 38.40\n\nprocessor\t: 1\n"
        "BogoMIPS\t: 38.40\n\nFeatures\t: swp half thumb fastmult vfp edsp neon vfpv3 tls vfpv4\n"
        "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xc07\nCPU revision\t: 3\n\n"
        "Hardware\t: sun8i\nRevision\t: 0000\n"
    )
    found = processor(write(tmp_path, {"proc/cpuinfo": text}))
    assert (found.name, found.board, found.instruction_sets) == ("ARM Cortex-A7", "sun8i", ("neon",))
    assert [core.kind for core in found.cores] == ["ARM Cortex-A7 r0p3"] * 2


def test_without_any_files_only_the_given_name_is_known(tmp_path: Path) -> None:
    found = processor(tmp_path, otherwise="riscv64")
    assert (found.name, found.board, found.instruction_sets, found.cores) == ("riscv64", None, (), ())


def test_lists_of_numbers_are_read_as_linux_writes_them() -> None:
    assert numbers_in("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11]
    assert numbers_in("") == []


def test_what_is_no_number_is_none(tmp_path: Path) -> None:
    write(tmp_path, {"good": "12\n", "bad": "<unsupported>\n"})
    assert [number_in(tmp_path / name) for name in ("good", "bad", "missing")] == [12.0, None, None]
