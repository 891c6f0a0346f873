"""How long does `edgebert profile` take for the built-in bundle's twelve sub-networks, in full and with --quick?

Each run is a fresh process with an empty cache: lengths 16, 64 and 128, the CPU provider, its default ways.

    python benchmarks/profile_time.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median

import msgspec

from edgebert.cli.output import print_json, print_table
from edgebert.machine.device import this_device
from edgebert.measuring.device_profile import DeviceProfile

COMMAND = ["profile", "--json", "--provider", "cpu", "--lengths", "16,64,128"]
KINDS = {"edgebert profile": [], "edgebert profile --quick": ["--quick"]}


@dataclass(frozen=True)
class Run:
    """How long one profile took, and what it holds."""

    seconds: float
    entries: int
    left_out: int
    rounds: int
    unsettled: int
    canary_drift: float
    warning: str | None


def profile(*options: str) -> Run:
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "edgebert", *COMMAND, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "XDG_CACHE_HOME": cache},
            check=True,
        )
        seconds = time.perf_counter() - start
    found = msgspec.json.decode(done.stdout, type=DeviceProfile)
    stability = found.stability
    return Run(
        seconds=seconds,
        entries=len(found.subnetworks),
        left_out=len(found.left_out),
        rounds=stability.rounds,
        unsettled=len(stability.unsettled),
        canary_drift=stability.canary_drift,
        warning=stability.warning,
    )


def print_summary(result: dict) -> None:
    rows = []
    for command, runs in result["runs"].items():
        seconds = [run.seconds for run in runs]
        rows.append(
            [
                command,
                f"{median(seconds):.1f} ({min(seconds):.1f} - {max(seconds):.1f})",
                listed(run.entries for run in runs),
                listed(run.left_out for run in runs),
                listed(run.rounds for run in runs),
                listed(run.unsettled for run in runs),
                listed(f"{run.canary_drift:.2f}" for run in runs),
                sum(run.warning is not None for run in runs),
            ]
        )
    print(f"{result['device']}; seconds: median (min - max); the other columns run by run\n")
    columns = ["seconds", "entries", "left out", "rounds", "unsettled", "canary drift", "warned"]
    print_table(rows, ["command", *columns])


def listed(values) -> str:
    return ", ".join(map(str, values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = {command: [profile(*more) for _ in range(options.runs)] for command, more in KINDS.items()}
    result = {"device": str(this_device()), "runs": runs}
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
