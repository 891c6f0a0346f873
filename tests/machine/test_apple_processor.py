import sys

import pytest

from edgebert.machine.apple_processor import Read, processor

M2 = """\
hw.model: Mac14,2
hw.physicalcpu: 8
hw.nperflevels: 2
hw.perflevel0.physicalcpu: 4
hw.perflevel0.logicalcpu: 4
hw.perflevel0.name: Performance
hw.perflevel1.physicalcpu: 4
hw.perflevel1.name: Efficiency
hw.optional.AdvSIMD: 1
hw.optional.arm.FEAT_FP16: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_BF16: 1
hw.optional.arm.FEAT_SME: 0
machdep.cpu.brand_string: Apple M2
"""
M4 = M2.replace("Apple M2", "Apple M4").replace("FEAT_SME: 0", "FEAT_SME: 1\nhw.optional.arm.FEAT_SME2: 1")
INTEL = """\
hw.model: MacBookPro16,1
hw.physicalcpu: 8
hw.optional.avx2_0: 1
machdep.cpu.features: FPU VME DE PSE TSC MSR SSE4.2 x2APIC MOVBE POPCNT AES PCID XSAVE OSXSAVE SEGLIM64 AVX1.0 FMA
machdep.cpu.leaf7_features: RDWRFSGS TSC_THREAD_OFFSET SGX BMI1 AVX2 SMEP BMI2 ERMS INVPCID FPU_CSDS MPX
machdep.cpu.brand_string: Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz
"""


def read(printed: str) -> Read:
    """Return what reads values as the C library does, from what `sysctl` printed of them."""
    values = dict(line.split(": ", 1) for line in printed.splitlines())

    def one(name: str) -> bytes | None:
        value = values.get(name)
        if value is None:
            return None
        return int(value).to_bytes(4, "little") if value.isdigit() else value.encode() + b"\0"

    return one


def test_an_apple_processor_has_a_cluster_for_each_performance_level() -> None:
    found = processor(read(M2))
    assert (found.name, found.board) == ("Apple M2", "Mac14,2")
    assert [(group.cores[0].kind, len(group.cores)) for group in found.groups] == [
        ("Apple M2 Performance", 4),
        ("Apple M2 Efficiency", 4),
    ]


def test_instruction_sets_have_linuxs_names() -> None:
    assert processor(read(M2)).instruction_sets == ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")
    assert {"sme", "sme2"} <= set(processor(read(M4)).instruction_sets)
    assert processor(read(INTEL)).instruction_sets == ("avx2", "fma")


def test_an_intel_mac_has_cores_of_one_kind() -> None:
    found = processor(read(INTEL))
    assert [len(group.cores) for group in found.groups] == [8]
    assert found.board == "MacBookPro16,1"


@pytest.mark.skipif(sys.platform != "darwin", reason="this is no Mac")
def test_this_mac_tells_what_it_is() -> None:
    found = processor()
    assert found.cores
    assert found.name != "unknown processor"
