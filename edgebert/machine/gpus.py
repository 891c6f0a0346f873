"""NVIDIA's GPUs, as NVML tells of them, a library of their driver. To ask it takes no memory of any GPU."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from edgebert.machine.memory import Memory

_NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_TEXT_BYTES = 96
# What NVML says where the system does not let it know, as on Windows.
_UNKNOWN = 2**64 - 1
# Processes that may start between two questions: how many there are, and which.
_SPARE = 8

# Returns NVML, whose functions return 0 where all went well; raises an OSError where there is none.
Load = Callable[[], Any]


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


class _Usage(ctypes.Structure):
    _fields_ = (
        ("total_bytes", ctypes.c_ulonglong),
        ("free_bytes", ctypes.c_ulonglong),
        ("used_bytes", ctypes.c_ulonglong),
    )


class Gpus:
    """The GPUs of this machine; none where there is no driver."""

    def __init__(self, load: Load = lambda: ctypes.CDLL(_NVML)):
        """Take what loads NVML."""
        self._load = cache(load)
        self._used_before_mb: float | None = None

    def names(self) -> list[str]:
        """Return the models of all GPUs, in the order of their places on the bus."""
        return [self._text("nvmlDeviceGetName", gpu) for gpu in self._handles()]

    def visible(self) -> int:
        """Return how many GPUs CUDA shows to this process: all, or those that the environment names."""
        there = len(self._handles())
        named = os.environ.get(_VISIBLE)
        if named is None:
            return there
        count = 0
        for one in named.split(","):
            # As CUDA does: those behind one that is not there are not shown either.
            if not (one.strip().startswith(("GPU-", "MIG-")) or one.strip() in map(str, range(there))):
                break
            count += 1
        return count if there else 0

    def driver_version(self) -> str:
        """Return the version of the driver, empty where there is none."""
        return self._text("nvmlSystemGetDriverVersion")

    def process_memory(self) -> Memory:
        """Return what this process holds of the memory of all GPUs, of which nothing is ever given back.

        Where the driver knows processes by other numbers, as in containers, it is what has been taken by anybody since
        this was asked first.
        """
        own_mb, used_mb = self._own_mb(), self._used_mb()
        if self._used_before_mb is None:
            self._used_before_mb = used_mb
        held_mb = max(0.0, used_mb - self._used_before_mb) if own_mb is None else own_mb
        return Memory(resident_mb=held_mb, private_mb=held_mb, peak_mb=held_mb)

    def _own_mb(self) -> float | None:
        """Return what the driver says that this process holds, None where it does not know this process."""
        own = [
            process.used_bytes
            for gpu in self._handles()
            for process in self._processes(gpu)
            if process.pid == os.getpid() and process.used_bytes != _UNKNOWN
        ]
        return sum(own) / 1e6 if own else None

    def _processes(self, gpu: ctypes.c_void_p) -> list[_Process]:
        """Return the processes that compute on a GPU."""
        function, count = "nvmlDeviceGetComputeRunningProcesses_v3", ctypes.c_uint(0)
        self._asked(function, gpu, ctypes.byref(count), None)  # refused for want of room, but it counts them
        found = (_Process * (count.value + _SPARE))()
        count = ctypes.c_uint(len(found))
        return list(found)[: count.value] if self._asked(function, gpu, ctypes.byref(count), found) else []

    def _used_mb(self) -> float:
        """Return what all processes hold of all GPUs."""
        used = 0
        for gpu in self._handles():
            usage = _Usage()
            if self._asked("nvmlDeviceGetMemoryInfo", gpu, ctypes.byref(usage)):
                used += usage.used_bytes
        return used / 1e6

    def _handles(self) -> list[ctypes.c_void_p]:
        count = ctypes.c_uint(0)
        self._asked("nvmlDeviceGetCount_v2", ctypes.byref(count))
        handles = [ctypes.c_void_p() for _ in range(count.value)]
        asked = "nvmlDeviceGetHandleByIndex_v2"
        return [gpu for number, gpu in enumerate(handles) if self._asked(asked, number, ctypes.byref(gpu))]

    def _text(self, function: str, *of: ctypes.c_void_p) -> str:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        return text.value.decode(errors="replace") if self._asked(function, *of, text, _TEXT_BYTES) else ""

    def _asked(self, function: str, *arguments: Any) -> bool:
        """Return whether NVML has answered; it has not where there is no driver, or one too old for the question."""
        with contextlib.suppress(OSError, AttributeError):
            nvml = self._load()
            # Again each time: it counts how often, and costs nothing but the first time.
            return bool(nvml.nvmlInit_v2() == 0 and getattr(nvml, function)(*arguments) == 0)
        return False
