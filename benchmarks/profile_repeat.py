"""Do two profiles of the same machine agree, and does one notice a process that takes a core for a third of its time?

Two profiles of the built-in bundle one after the other, then a third while a busy process runs for the middle third of
the time that the first one took. Medians are compared entry by entry and shape by shape, memory entry by entry. Every
profile has an empty cache: none goes on where another was.

    python benchmarks/profile_repeat.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from edgebert.cli.output import print_json, print_table
from edgebert.machine.device import this_device
from edgebert.measuring import profiler
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.subnet import WayFilter

LENGTHS = (16, 64, 128)
BUSY = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


@dataclass(frozen=True)
class Profiled:
    """A profile and how long it took."""

    found: DeviceProfile
    seconds: float


@dataclass(frozen=True)
class Agreement:
    """How far a profile is from another: shares of the other's medians, and of its peak memory."""

    medians: int
    median_difference: float
    p95_difference: float
    worst_difference: float
    shift: float
    spearman: float
    memory_difference: float
    worst_memory_difference: float


def profile() -> Profiled:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        start = time.perf_counter()
        found = profiler.profile(lengths=LENGTHS, provider="cpu")
        return Profiled(found, time.perf_counter() - start)


def profile_beside_a_hog(seconds: float) -> Profiled:
    """Profile while another process is busy in the middle third of so many seconds."""
    hog = threading.Thread(target=be_busy, args=(seconds / 3,))
    hog.start()
    profiled = profile()
    hog.join()
    return profiled


def be_busy(seconds: float) -> None:
    time.sleep(seconds)
    subprocess.run([sys.executable, "-c", BUSY, str(seconds)], check=True)


def agreements(other: DeviceProfile, found: DeviceProfile) -> dict[str, Agreement]:
    """Compare what both profiles measured, in all and by the number of threads."""
    by_threads = {
        f"{count} {'thread' if count == 1 else 'threads'}": agreement(
            other.narrowed(WayFilter(threads=count)), found.narrowed(WayFilter(threads=count))
        )
        for count in sorted({entry.way.threads for entry in found.subnetworks})
    }
    return {"all": agreement(other, found), **by_threads}


def agreement(other: DeviceProfile, found: DeviceProfile) -> Agreement:
    before, after = p50s_ms(other), p50s_ms(found)
    both = [key for key in before if key in after]
    ratios = np.array([after[key] / before[key] for key in both])
    off = np.abs(ratios - 1)
    was, now = ({entry.key: entry.peak_memory_mb for entry in one.subnetworks} for one in (other, found))
    memory = [abs(now[key] / was[key] - 1) for key in was if key in now]
    return Agreement(
        medians=len(both),
        median_difference=float(np.median(off)),
        p95_difference=float(np.percentile(off, 95)),
        worst_difference=float(off.max()),
        shift=float(np.median(ratios) - 1),
        spearman=float(np.corrcoef(ranks([before[key] for key in both]), ranks([after[key] for key in both]))[0, 1]),
        memory_difference=median(memory),
        worst_memory_difference=max(memory),
    )


def p50s_ms(found: DeviceProfile) -> dict[tuple, float]:
    return {(entry.key, row.length): row.p50_ms for entry in found.subnetworks for row in entry.latency}


def ranks(values: list[float]) -> np.ndarray:
    """Return the place of each value in their order; equals share the mean of their places."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[group]


def print_summary(result: dict) -> None:
    rows = [
        [
            name,
            f"{one.medians}",
            f"{one.median_difference:.1%}",
            f"{one.p95_difference:.1%}",
            f"{one.worst_difference:.1%}",
            f"{one.shift:+.1%}",
            f"{one.spearman:.4f}",
            f"{one.memory_difference:.1%}",
            f"{one.worst_memory_difference:.1%}",
        ]
        for name, one in result["agreement"].items()
    ]
    print(f"{result['device']}\n")
    columns = ["medians", "median off", "95th", "worst", "shift", "Spearman", "memory off", "worst"]
    print_table(rows, ["against the first profile", *columns])
    print()
    rows = [
        [
            name,
            f"{one['seconds']:.0f}",
            one["stability"].rounds,
            f"{one['stability'].median_drift:.2f}x",
            f"{one['stability'].worst_drift:.2f}x",
            f"{one['stability'].canary_drift:.2f}x",
            f"{one['stability'].others_share:.1%}",
            len(one["stability"].unsettled),
            "yes" if one["stability"].warning else "no",
        ]
        for name, one in result["profiles"].items()
    ]
    columns = ["seconds", "rounds", "drift", "worst", "canary", "others", "unsettled", "warned"]
    print_table(rows, ["profile", *columns])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    first, second = profile(), profile()
    disturbed = profile_beside_a_hog(first.seconds)
    profiles = {"first": first, "second": second, "beside a hog": disturbed}
    result = {
        "device": str(this_device()),
        "agreement": {
            f"{name}, {of}": one
            for name, profiled in (("second", second), ("beside a hog", disturbed))
            for of, one in agreements(first.found, profiled.found).items()
        },
        "profiles": {
            name: {"seconds": one.seconds, "stability": one.found.stability} for name, one in profiles.items()
        },
    }
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
