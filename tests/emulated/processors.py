"""Which processors are emulated, and what Linux says of each in /proc/cpuinfo."""

from dataclasses import dataclass
from typing import Literal

Architecture = Literal["arm64", "amd64"]  # as Debian calls them

_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
_SVE = "fp asimd evtstrm sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm fcma dcpop sve"
_ARMV8_4 = f"{_ARMV8_2} jscvt fcma sha3 sm3 sm4 sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs paca pacg"
_ARMV8_4_BF16 = f"{_ARMV8_4} dcpodp svei8mm svebf16 i8mm bf16 dgh rng"
_ARMV9 = f"{_ARMV8_4_BF16} sb sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint bti"
_SME = f"{_ARMV9} sme smei16i64 smef64f64 smei8i32 smef16f32 smeb16f32 smef32f32 smefa64"

_SSE = "fpu tsc msr cx8 apic cmov mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
_AVX2 = f"{_SSE} pclmulqdq fma movbe aes xsave avx f16c rdrand abm fsgsbase bmi1 avx2 smep bmi2 erms"
# What qemu has not: it says so on standard error whenever a process starts.
_NOT_EMULATED = ",-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm"
# Of processors whose maker it does not know, as qemu's own, ONNX Runtime complains on standard error.
_OF_ARM = "midr=0x410f0510"


@dataclass(frozen=True)
class Processor:
    """A processor by a name of ours; `model` is qemu's name of it, `lines` are what /proc/cpuinfo says of each core."""

    name: str
    architecture: Architecture
    model: str
    lines: tuple[tuple[str, str], ...]

    def cpu_info(self, cores: int) -> str:
        """Return the content of /proc/cpuinfo."""
        blocks = ((("processor", str(core)), *self.lines) for core in range(cores))
        return "".join("".join(f"{name}\t: {value}\n" for name, value in block) + "\n" for block in blocks)


def _arm(name: str, features: str, part: str, *, model: str | None = None, implementer: str = "0x41") -> Processor:
    lines = (
        ("BogoMIPS", "100.00"),
        ("Features", features),
        ("CPU implementer", implementer),
        ("CPU architecture", "8"),
        ("CPU variant", "0x0"),
        ("CPU part", part),
        ("CPU revision", "0"),
    )
    return Processor(name, "arm64", model or name, lines)


def _x86(name: str, flags: str, number: str, *, without: str = "") -> Processor:
    lines = (
        ("vendor_id", "GenuineIntel"),
        ("cpu family", "6"),
        ("model", number),
        ("model name", f"Intel {name}, emulated"),
        ("stepping", "1"),
        ("flags", flags),
    )
    return Processor(name.lower(), "amd64", name + without, lines)


# The first four of Arm have: no dot product, dot product, all but SME, and SME.
PROCESSORS = {
    processor.name: processor
    for processor in (
        _arm("cortex-a72", _ARMV8, "0xd08"),
        _arm("neoverse-n1", f"{_ARMV8_2} ssbs", "0xd0c"),
        _arm("max-without-sme", _ARMV9, "0x051", model=f"max,sme=off,{_OF_ARM}"),
        _arm("max-with-sme", _SME, "0x051", model=f"max,sme=on,{_OF_ARM}"),
        _arm("cortex-a53", _ARMV8, "0xd03"),
        _arm("cortex-a76", _ARMV8_2, "0xd0b"),
        _arm("neoverse-v1", _ARMV8_4_BF16, "0xd40"),
        _arm("neoverse-n2", _ARMV9, "0xd49"),
        _arm("a64fx", _SVE, "0x001", implementer="0x46"),
        _x86("Haswell", _AVX2, "60", without=_NOT_EMULATED),
        _x86("Nehalem", _SSE, "26"),
    )
}
