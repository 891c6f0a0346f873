import os
import re
from typing import Any

import msgspec
import pytest

from edgebert.machine.device import default_threads, saturates_int8, this_device, thread_counts
from edgebert.machine.limits import Limits, usable_cores


def test_this_device_is_described() -> None:
    device = this_device()
    assert device.cpu
    assert device.usable_cores >= 1
    assert device.memory_mb > 100
    assert device.cpu in str(device)


def test_the_fingerprint_tells_machines_apart_and_forgives_memory() -> None:
    device = this_device()
    assert this_device().fingerprint == device.fingerprint
    assert msgspec.structs.replace(device, memory_mb=1).fingerprint == device.fingerprint
    assert msgspec.structs.replace(device, cpu="other").fingerprint != device.fingerprint
    assert msgspec.structs.replace(device, limits=Limits(cpus=0.5)).fingerprint != device.fingerprint


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"os": "Linux 9"}, "system from .* to Linux 9"),
        ({"power_governor": "powersave"}, "power governor from .* to powersave"),
        ({"limits": Limits(memory_mb=100.0)}, "memory limit from .* to 100.0 MB"),
        ({"memory_mb": 1}, "memory from .* to 1 MB"),
    ],
)
def test_small_changes_of_a_machine_are_named(change: dict[str, Any], word: str) -> None:
    device = this_device()
    later = msgspec.structs.replace(device, **change)
    assert later.fingerprint == device.fingerprint
    (found,) = later.changes_since(device)
    assert re.fullmatch(word, found)
    assert device.changes_since(device) == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_follow_the_cores_that_may_be_used() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == default_threads() == 1
        assert thread_counts() == (1,)
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("architecture", "instruction_sets", "saturates"),
    [
        ("x86_64", ("avx2", "fma"), True),
        ("AMD64", ("avx2", "avx_vnni"), False),
        ("x86_64", ("avx512f", "avx512_vnni"), False),
        ("aarch64", ("asimd",), False),
    ],
)
def test_int8_sums_saturate_on_x86_without_vnni(
    architecture: str, instruction_sets: tuple[str, ...], saturates: bool
) -> None:
    assert saturates_int8(architecture, instruction_sets) == saturates
    device = this_device()
    assert saturates_int8() == saturates_int8(device.architecture, device.instruction_sets)
