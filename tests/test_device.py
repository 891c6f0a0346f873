import os

import msgspec
import pytest

from edgebert.device import default_threads, this_device, usable_cores


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_follow_the_cores_that_may_be_used() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == default_threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)
