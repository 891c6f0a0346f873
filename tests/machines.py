"""What Linux shows of several machines in /proc and /sys, in the form that it has there: paths and contents."""

from collections.abc import Sequence
from pathlib import Path

# By the file's path under the root.
Files = dict[str, str]

CPUS = "sys/devices/system/cpu"
THERMAL = "sys/class/thermal"

A53, A55, A72 = ("0x41", "0xd03", "0x0", "4"), ("0x41", "0xd05", "0x2", "0"), ("0x41", "0xd08", "0x0", "3")
A76, A76_R4P0 = ("0x41", "0xd0b", "0x4", "1"), ("0x41", "0xd0b", "0x4", "0")
A510, A710, X2 = ("0x41", "0xd46", "0x0", "2"), ("0x41", "0xd47", "0x2", "0"), ("0x41", "0xd48", "0x2", "0")
NEOVERSE_N1, NEOVERSE_V1 = ("0x41", "0xd0c", "0x3", "1"), ("0x41", "0xd40", "0x1", "1")
ICESTORM, FIRESTORM = ("0x61", "0x022", "0x1", "1"), ("0x61", "0x023", "0x1", "1")
OF_THE_FUTURE = ("0x41", "0xfff", "0x0", "0")

ARMV8_0 = "fp asimd evtstrm crc32 cpuid"
ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
SNAPDRAGON = f"{ARMV8_2} sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp flagm2 frint i8mm bf16"
GRAVITON_3 = (
    f"{ARMV8_2} jscvt fcma sha3 sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs paca pacg dcpodp svei8mm svebf16"
    " i8mm bf16 dgh rng"
)
INTEL = "fpu vme de pse tsc msr pae mmx fxsr sse sse2 ht ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2 avx_vnni vaes"
AMD = "fpu vme de pse tsc msr pae mmx fxsr sse sse2 ht ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2 vaes"


def arm(
    cores: Sequence[tuple[str, str, str, str]],
    features: str,
    *,
    clocks_khz: Sequence[int] = (),
    capacities: Sequence[int] = (),
    tail: str = "",
    model: str = "",
) -> Files:
    """Return the files of a machine with these cores: implementer, part, variant and revision of each."""
    blocks = []
    for number, (implementer, part, variant, revision) in enumerate(cores):
        blocks.append(
            f"processor\t: {number}\nBogoMIPS\t: 48.00\nFeatures\t: {features}\n"
            f"CPU implementer\t: {implementer}\nCPU architecture: 8\nCPU variant\t: {variant}\n"
            f"CPU part\t: {part}\nCPU revision\t: {revision}\n\n"
        )
    found = {"proc/cpuinfo": "".join(blocks) + tail, f"{CPUS}/online": f"0-{len(cores) - 1}\n"}
    for number in range(len(cores)):
        found[f"{CPUS}/cpu{number}/topology/core_cpus_list"] = f"{number}\n"
        if clocks_khz:
            found |= clock(number, clocks_khz[number], clocks_khz[number])
        if capacities:
            found[f"{CPUS}/cpu{number}/cpu_capacity"] = f"{capacities[number]}\n"
    if model:
        found["proc/device-tree/model"] = f"{model}\0"
    return found


def raspberry_pi(core: tuple[str, str, str, str], features: str, clock_khz: int, model: str) -> Files:
    """Return the files of a Raspberry Pi with four cores, whose kernel puts the board's name into /proc/cpuinfo too."""
    tail = f"Revision\t: c03114\nSerial\t\t: 10000000abcdef01\nModel\t\t: {model}\n"
    described = {"clocks_khz": [clock_khz] * 4, "capacities": [1024] * 4, "tail": tail, "model": model}
    return arm([core] * 4, features, **described)


def x86(
    name: str, flags: str, siblings: Sequence[str], *, clocks_khz: Sequence[int] = (), kinds: Files | None = None
) -> Files:
    """Return the files of a machine; `siblings` has for each logical core the list of those that share its core."""
    blocks = (
        f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: {name}\ncpu MHz\t\t: 1400.000\n"
        f"flags\t\t: {flags}\nbogomips\t: 5376.00\n\n"
        for number in range(len(siblings))
    )
    found = {"proc/cpuinfo": "".join(blocks), f"{CPUS}/online": f"0-{len(siblings) - 1}\n"}
    for number, listed in enumerate(siblings):
        found[f"{CPUS}/cpu{number}/topology/core_cpus_list"] = f"{listed}\n"
        if clocks_khz:
            found |= clock(number, clocks_khz[number], clocks_khz[number])
    return found | {f"sys/devices/{kind}/cpus": f"{listed}\n" for kind, listed in (kinds or {}).items()}


def clock(number: int, now_khz: int, most_khz: int) -> Files:
    """Return what Linux shows of a core's clock."""
    folder = f"{CPUS}/cpu{number}/cpufreq"
    return {f"{folder}/scaling_cur_freq": f"{now_khz}\n", f"{folder}/cpuinfo_max_freq": f"{most_khz}\n"}


def zone(number: int, kind: str, temperature: int, **trips: int) -> Files:
    """Return a thermal zone, in thousandths of a degree; `trips` are its points by their type."""
    folder = f"{THERMAL}/thermal_zone{number}"
    found = {f"{folder}/type": f"{kind}\n", f"{folder}/temp": f"{temperature}\n"}
    for point, (name, trip) in enumerate(trips.items()):
        found[f"{folder}/trip_point_{point}_type"] = f"{name.rstrip('_')}\n"
        found[f"{folder}/trip_point_{point}_temp"] = f"{trip}\n"
    return found


def write(root: Path, files: Files) -> Path:
    """Write files under a root and return it."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


ROCK_CLOCKS = [1_800_000] * 4 + [2_400_000] * 2 + [2_352_000] * 2
MACHINES: dict[str, Files] = {
    "Raspberry Pi 3": raspberry_pi(A53, ARMV8_0, 1_200_000, "Raspberry Pi 3 Model B Rev 1.2"),
    "Raspberry Pi 4": raspberry_pi(A72, ARMV8_0, 1_500_000, "Raspberry Pi 4 Model B Rev 1.1"),
    "Raspberry Pi 400": raspberry_pi(A72, ARMV8_0, 1_800_000, "Raspberry Pi 400 Rev 1.0"),
    "Raspberry Pi 5": raspberry_pi(A76, ARMV8_2, 2_400_000, "Raspberry Pi 5 Model B Rev 1.0"),
    # An Android phone: no device tree that apps could read.
    "Snapdragon 8 Gen 1": arm(
        [A510] * 4 + [A710] * 3 + [X2],
        SNAPDRAGON,
        clocks_khz=[1_785_600] * 4 + [2_496_000] * 3 + [2_995_200],
        capacities=[261] * 4 + [837] * 3 + [1024],
        tail="Hardware\t: Qualcomm Technologies, Inc SM8450\n",
    ),
    # Virtual machines: neither a board nor a clock.
    "Graviton 2": arm([NEOVERSE_N1] * 4, ARMV8_2, capacities=[1024] * 4),
    "Graviton 3": arm([NEOVERSE_V1] * 4, GRAVITON_3, capacities=[1024] * 4),
    "MacBook Air M1": arm(
        [ICESTORM] * 4 + [FIRESTORM] * 4,
        f"{ARMV8_2} jscvt fcma sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp flagm2 frint",
        clocks_khz=[2_064_000] * 4 + [3_204_000] * 4,
        capacities=[459] * 4 + [1024] * 4,
        model="Apple MacBook Air (M1, 2020)",
    ),
    # Its fast cores come in pairs, whose clocks are set by what the chip can bear.
    "ROCK 5B": arm(
        [A55] * 4 + [A76_R4P0] * 4,
        ARMV8_2,
        clocks_khz=ROCK_CLOCKS,
        capacities=[414] * 4 + [1024] * 2 + [1003] * 2,
        model="Radxa ROCK 5B",
    ),
    "Core i5-12600K": x86(
        "12th Gen Intel(R) Core(TM) i5-12600K",
        INTEL,
        [f"{number // 2 * 2}-{number // 2 * 2 + 1}" for number in range(12)]
        + [str(number) for number in range(12, 16)],
        clocks_khz=[4_900_000] * 12 + [3_600_000] * 4,
        kinds={"cpu_core": "0-11", "cpu_atom": "12-15"},
    ),
    # Some of its cores may go a little higher than the others, and are of the same kind all the same.
    "EPYC 7763": x86(
        "AMD EPYC 7763 64-Core Processor", AMD, ["0,4", "1,5", "2,6", "3,7"] * 2, clocks_khz=[3_500_000, 3_529_000] * 4
    ),
}
