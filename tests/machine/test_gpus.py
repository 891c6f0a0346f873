# ruff: noqa: N802, N815 - the names are NVML's
import ctypes
import os
from typing import Any

import pytest

from edgebert.machine.gpus import Gpus
from edgebert.machine.memory import Memory

OTHER_PROCESS = 1
NOTHING = Memory(0.0, 0.0, 0.0)


class Nvml:
    """Answers as NVML does for some GPUs, through the same pointers: `used_mb` and, by process, `held_mb` of each."""

    def __init__(self, used_mb: list[int], held_mb: list[dict[int, int]]):
        self.used_mb, self.held_mb = used_mb, held_mb

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.used_mb)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, handle: Any) -> int:
        handle._obj.value = number + 1
        return 0

    def nvmlDeviceGetName(self, gpu: ctypes.c_void_p, name: Any, size: int) -> int:
        name.value = b"NVIDIA Model %d" % (gpu.value or 0)
        return 0

    def nvmlSystemGetDriverVersion(self, version: Any, size: int) -> int:
        version.value = b"580.65.06"
        return 0

    def nvmlDeviceGetMemoryInfo(self, gpu: ctypes.c_void_p, usage: Any) -> int:
        usage._obj.used_bytes = self.used_mb[(gpu.value or 0) - 1] * 1_000_000
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, gpu: ctypes.c_void_p, count: Any, found: Any) -> int:
        held = self.held_mb[(gpu.value or 0) - 1]
        if found is None or count._obj.value < len(held):
            count._obj.value = len(held)
            return 7  # insufficient size
        count._obj.value = len(held)
        for place, (pid, mb) in enumerate(held.items()):
            found[place].pid, found[place].used_bytes = pid, mb * 1_000_000 if mb >= 0 else 2**64 - 1
        return 0


class OldNvml(Nvml):
    """A driver that is too old to tell of processes."""

    nvmlDeviceGetComputeRunningProcesses_v3 = property()  # type: ignore[assignment]


def no_driver() -> Any:
    raise OSError("libnvidia-ml.so.1: cannot open shared object file")


def test_without_a_driver_there_is_nothing_and_nothing_goes_wrong() -> None:
    gpus = Gpus(no_driver)
    assert (gpus.names(), gpus.visible(), gpus.driver_version()) == ([], 0, "")
    assert gpus.process_memory() == NOTHING


def test_a_driver_that_finds_no_gpu_is_none() -> None:
    class Failing(Nvml):
        def nvmlInit_v2(self) -> int:
            return 9  # the driver is not loaded

    gpus = Gpus(lambda: Failing([500], [{}]))
    assert (gpus.names(), gpus.visible(), gpus.process_memory()) == ([], 0, NOTHING)


def test_gpus_and_their_driver_are_named() -> None:
    gpus = Gpus(lambda: Nvml([0, 0], [{}, {}]))
    assert gpus.names() == ["NVIDIA Model 1", "NVIDIA Model 2"]
    assert gpus.driver_version() == "580.65.06"


@pytest.mark.parametrize(
    ("named", "count"),
    [("", 0), ("-1", 0), ("0", 1), ("1, 0", 2), ("1", 1), ("0,7,1", 1), ("GPU-8f6d", 1), ("MIG-1a,0", 2)],
)
def test_of_gpus_those_count_that_cuda_shows(monkeypatch: pytest.MonkeyPatch, named: str, count: int) -> None:
    gpus = Gpus(lambda: Nvml([0, 0], [{}, {}]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus.visible() == count
    assert Gpus(no_driver).visible() == 0


def test_memory_is_what_this_process_holds_of_all_gpus() -> None:
    nvml = Nvml([5000, 900], [{OTHER_PROCESS: 4000}, {}])
    gpus = Gpus(lambda: nvml)
    assert gpus.process_memory() == NOTHING
    # Others take and give back meanwhile, which is not ours.
    nvml.used_mb, nvml.held_mb = [9000, 1700], [{OTHER_PROCESS: 8000}, {OTHER_PROCESS: 100, os.getpid(): 700}]
    assert gpus.process_memory() == Memory(700.0, 700.0, 700.0)


@pytest.mark.parametrize("held_mb", [[{OTHER_PROCESS: 700}], [{os.getpid(): -1}]], ids=["another number", "not told"])
def test_where_the_driver_does_not_know_the_process_what_was_taken_since_counts(held_mb: list[dict[int, int]]) -> None:
    nvml = Nvml([300], [{}])
    gpus = Gpus(lambda: nvml)
    assert gpus.process_memory() == NOTHING
    nvml.used_mb, nvml.held_mb = [1000], held_mb
    assert gpus.process_memory().peak_mb == 700.0
    nvml.used_mb = [200]
    assert gpus.process_memory() == NOTHING


def test_an_old_driver_tells_of_the_gpu_as_a_whole() -> None:
    nvml = OldNvml([300], [{}])
    gpus = Gpus(lambda: nvml)
    gpus.process_memory()
    nvml.used_mb = [450]
    assert gpus.process_memory().resident_mb == 150.0
