import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from machines import MACHINES, clock, write, zone

from edgebert.machine import linux_processor
from edgebert.machine.device import (
    Cluster,
    Device,
    cpus_by_speed,
    default_threads,
    device_with,
    fastest_cpus,
    saturates_int8,
    this_device,
    thread_counts,
)
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


def device_in(root: Path, name: str) -> Device:
    return device_with(linux_processor.processor(write(root, MACHINES[name])), None)


def test_different_machines_have_different_fingerprints(tmp_path: Path) -> None:
    found = {device_in(tmp_path / name, name).fingerprint for name in MACHINES}
    assert len(found) == len(MACHINES)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_at_another_clock_and_temperature_is_the_same(tmp_path: Path, name: str) -> None:
    before = device_in(tmp_path, name)
    slow = {path: text for number in range(16) for path, text in clock(number, 600_000, 0).items() if "cur" in path}
    write(tmp_path, slow | zone(0, "cpu-thermal", 84_000, passive=85_000))
    assert device_with(linux_processor.processor(tmp_path), None).fingerprint == before.fingerprint


def test_another_core_another_board_and_another_number_of_cores_make_another_fingerprint(tmp_path: Path) -> None:
    device = device_in(tmp_path, "Raspberry Pi 4")
    (cluster,) = device.clusters
    for change in (
        {"board": "Raspberry Pi 4 Model B Rev 1.5"},
        {"clusters": (msgspec.structs.replace(cluster, kind="ARM Cortex-A72 r0p4"),)},
        {"clusters": (msgspec.structs.replace(cluster, cores=2, usable_cores=2),), "physical_cores": 2},
    ):
        assert msgspec.structs.replace(device, **change).fingerprint != device.fingerprint


def test_cores_that_a_process_may_not_run_on_are_told_and_make_another_fingerprint(tmp_path: Path) -> None:
    processor = linux_processor.processor(write(tmp_path, MACHINES["ROCK 5B"]))
    slow, fast = (device_with(processor, frozenset(cpus)) for cpus in ((0, 1, 2, 3), (4, 5, 6, 7)))
    assert [str(cluster) for cluster in slow.clusters] == [
        "4 x ARM Cortex-A76 r4p0 at 2400 MHz, 0 usable",
        "4 x ARM Cortex-A55 r2p0 at 1800 MHz",
    ]
    assert slow.fingerprint != fast.fingerprint


def test_a_board_is_named_before_its_processor(tmp_path: Path) -> None:
    assert str(device_in(tmp_path, "Raspberry Pi 5")).startswith("Raspberry Pi 5 Model B Rev 1.0 (ARM Cortex-A76), ")


def test_clusters_that_are_not_all_of_the_cores_are_refused() -> None:
    content = msgspec.json.encode({**msgspec.to_builtins(this_device()), "physical_cores": 1000})
    with pytest.raises(msgspec.ValidationError, match=r"expected clusters of 1000 physical cores in all, found \d+"):
        msgspec.json.decode(content, type=Device)


def test_a_cluster_has_no_more_usable_cores_than_cores() -> None:
    with pytest.raises(ValueError, match="expected at most 4 usable cores in a cluster, found 5"):
        Cluster(kind="ARM Cortex-A53 r0p4", cores=4, usable_cores=5, max_clock_mhz=None, capacity=None)


def test_the_fastest_cores_come_first_and_each_but_once() -> None:
    cpus = cpus_by_speed()
    assert len(set(cpus)) == len(cpus)
    assert set(fastest_cpus()) <= set(cpus)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"os": "Linux 9"}, "system from .* to Linux 9"),
        ({"power_governor": "powersave"}, "power governor from .* to powersave"),
        ({"limits": Limits(memory_mb=100.0)}, "memory limit from .* to 100.0 MB"),
        ({"memory_mb": 1}, "memory from .* to 1 MB"),
        (
            {"clusters": tuple(msgspec.structs.replace(one, max_clock_mhz=1234.0) for one in this_device().clusters)},
            "maximum clock from .* to (1234 MHz(, )?)+",
        ),
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
