"""How long does a profile that was measured on a busy machine refuse budgets that the machine can keep?

Two processes keep the cores busy, on and off, for some minutes, and then no more. Every few seconds a fresh process
asks for the built-in bundle's profile, as `load` does, with a cache of its own: it is measured, used or measured again.
The budgets are a tenth above what each network took in a quick profile of a quiet machine, measured before; a row tells
which share of these was refused, and whether the profile still says that it is doubtful.

    python benchmarks/profile_heals.py --busy-s 120
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from edgebert.choosing.selection import Budget, select
from edgebert.cli.output import print_json, print_table
from edgebert.errors import BudgetError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile_of
from edgebert.subnet import WayFilter

MARGIN = 1.1
# Most of the time busy, and never in step with one another.
HOG = """
import random, sys, time
draw = random.Random(int(sys.argv[1]))
while True:
    end = time.monotonic() + draw.uniform(1, 8)
    while time.monotonic() < end: pass
    time.sleep(draw.uniform(0, 3))
"""


@dataclass(frozen=True)
class Asked:
    """What a fresh process found, so many seconds after the start."""

    at_s: float
    busy: bool
    took_s: float
    refused: float
    doubtful: bool


def p95s_of(profile: DeviceProfile) -> dict[str, float]:
    """Return the p95 at the longest input of each network in its fastest way."""
    found: dict[str, float] = {}
    for entry in profile.subnetworks:
        found[entry.id] = min(entry.latency[-1].p95_ms, found.get(entry.id, math.inf))
    return found


def refused(bundle: Bundle, profile: DeviceProfile, budgets_ms: dict[str, float]) -> float:
    """Return the share of budgets that are refused a network as good as the one that they are made for."""
    qualities = bundle.manifest.qualities
    lost = 0
    for subnet_id, ms in budgets_ms.items():
        try:
            chosen = select(bundle, profile, Budget(latency_ms=ms)).subnetwork
        except BudgetError:
            lost += 1
        else:
            lost += qualities[chosen] < qualities[subnet_id]
    return lost / len(budgets_ms)


def fresh(question: str, cache: str) -> dict:
    """Return what a fresh process says."""
    command = [sys.executable, __file__, "--answer", question]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def answer(question: str) -> None:
    """In the fresh process: print what networks take, or which share of budgets is refused."""
    bundle = Bundle.load()
    profile = profile_of(bundle, 1, WayFilter())
    found = p95s_of(profile) if question == "profile" else {"refused": refused(bundle, profile, json.loads(question))}
    print(json.dumps({**found, "doubtful": profile.is_doubtful}))


@contextmanager
def hogs() -> Iterator[None]:
    """Keep two cores busy, on and off."""
    processes = [subprocess.Popen([sys.executable, "-c", HOG, str(seed)]) for seed in range(2)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy-s", type=float, default=600)
    parser.add_argument("--calm-s", type=float, default=90)
    parser.add_argument("--every-s", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer(options.answer)
        return
    with tempfile.TemporaryDirectory() as quiet, tempfile.TemporaryDirectory() as cache:
        reference = fresh("profile", quiet)
        if reference.pop("doubtful"):
            sys.exit("the machine is busy already: close other programs and start again")
        budgets_ms = json.dumps({subnet_id: MARGIN * ms for subnet_id, ms in reference.items()})

        asked, start = [], time.monotonic()

        def ask(until_s: float, *, busy: bool) -> None:
            while (at_s := time.monotonic() - start) < until_s:
                found = fresh(budgets_ms, cache)
                asked.append(Asked(round(at_s, 1), busy, round(time.monotonic() - start - at_s, 1), **found))
                time.sleep(max(0.0, options.every_s - (time.monotonic() - start - at_s)))

        with hogs():
            ask(options.busy_s, busy=True)
        ask(options.busy_s + options.calm_s, busy=False)
    if options.json:
        print_json([asdict(one) for one in asked])
        return
    rows = [
        [f"{one.at_s:.0f}", "busy" if one.busy else "calm", f"{one.took_s:.1f}", f"{one.refused:.0%}", one.doubtful]
        for one in asked
    ]
    print_table(rows, ["after, s", "machine", "asking took, s", "budgets refused", "doubtful"])


if __name__ == "__main__":
    main()
