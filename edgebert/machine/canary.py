"""A fixed workload that tells how fast the machine is at the moment, apart from the networks that are measured.

It does the same on every machine and for every bundle: all cores hash. It is slower when another process takes a
core, and when the clock goes down.
"""

import contextlib
import hashlib
import itertools
import time
from collections.abc import Iterator

import psutil

from edgebert.machine.device import fastest_cpus
from edgebert.machine.thermal import fastest_clock, is_throttled, temperature_c
from edgebert.python_exit import Pool
from edgebert.records import NotNegative, Positive, Record, Share

# hashlib lets other threads of Python run while it hashes so much at once.
_BLOCK = bytes(1 << 20)
# About 10 ms: shorter, and the system would run it before it lets another process have its turn.
_BLOCKS = 16
# Of these the faster counts: right after a process has ended, one in ten is late for no lasting reason.
_RUNS = 2
# What psutil raises where a system does not show a value.
_NOT_SHOWN = (AttributeError, OSError, RuntimeError)


class Reading(Record, frozen=True):
    """The state of the machine around one measurement.

    `others_share` is how much of all cores' time went to other processes meanwhile. The clock is that of the fastest
    cluster's busiest core while all work, `clock_share` which share of its maximum that is. `temperature_c` is that of
    the hottest part, `is_throttled` whether the clock was held down for heat or want of power. What the system does not
    show is None.
    """

    canary_ms: Positive
    others_share: Share | None
    clock_mhz: NotNegative | None
    clock_share: Share | None
    temperature_c: float | None
    is_throttled: bool | None


@contextlib.contextmanager
def watching(threads: int, *, beside_app: bool = False) -> Iterator[list[Reading]]:
    """Read the state of the machine around a measurement in child processes: it is in the list that this gives.

    With `beside_app`, what this process itself does meanwhile is other work too.
    """
    readings: list[Reading] = []
    # Before, not meanwhile: both would be slower for the other.
    canary_ms = run(threads)
    clock = fastest_clock(fastest_cpus())  # at once, before it goes down since there is nothing to do
    for _ in range(1, _RUNS):
        canary_ms = min(canary_ms, run(threads))
    start, busy_s, own_s = time.perf_counter(), _busy_s(), _own_s(beside_app)

    yield readings

    all_s = (time.perf_counter() - start) * (psutil.cpu_count() or 1)
    # Linux counts in ticks of 10 ms: after a short measurement the difference may be less than nothing.
    others_s = _busy_s() - busy_s - (_own_s(beside_app) - own_s)
    readings.append(
        Reading(
            canary_ms=round(canary_ms, 4),
            others_share=round(min(1.0, max(0.0, others_s / all_s)), 4),
            clock_mhz=round(clock.mhz) if clock else _clock_mhz(),
            clock_share=round(clock.share, 4) if clock else None,
            temperature_c=_temperature_c(),
            is_throttled=is_throttled(),
        )
    )


def run(threads: int) -> float:
    """Run the workload once in each of so many threads and return how long all took, in milliseconds."""
    with Pool(threads) as pool:
        start = time.perf_counter()
        list(pool.map(_work, range(threads)))
        return (time.perf_counter() - start) * 1000


def _busy_s() -> float:
    """Return the time that all cores have spent on anything, or that a virtual machine's host kept from them."""
    times = psutil.cpu_times()
    # A core that waits for a disk is idle; what guests take is counted as the user's too.
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def _own_s(beside_app: bool) -> float:
    """Return the time that the children that have ended, and without an app this process too, spent on the cores."""
    times = psutil.Process().cpu_times()
    children_s = times.children_user + times.children_system
    return children_s if beside_app else children_s + times.user + times.system


def _work(_: int) -> None:
    for _block in range(_BLOCKS):
        hashlib.sha256(_BLOCK)


def _clock_mhz() -> float | None:
    """Return the clock where Linux has no files of it."""
    with contextlib.suppress(*_NOT_SHOWN):
        frequency = psutil.cpu_freq()
        return round(frequency.current) if frequency else None
    return None


def _temperature_c() -> float | None:
    """Return the temperature of the hottest thermal zone, or where there are none of the hottest sensor."""
    found = temperature_c()
    if found is not None:
        return found
    with contextlib.suppress(*_NOT_SHOWN):
        sensors = itertools.chain.from_iterable(psutil.sensors_temperatures().values())
        return max((sensor.current for sensor in sensors), default=None)
    return None
