"""Fuzzes every reader for some minutes; prints each kind of finding once, with what makes it again.

make fuzz MINUTES=60
python -m fuzz --target graph --seed 17
"""

import argparse
import collections
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fuzz.bases import make_bases
from fuzz.targets import TARGETS
from fuzz.watcher import Job, Outcome, Worker, shortened

# Turns of each target in a round: most to what comes from strangers; what is slow has few.
SHARES = {"bundle": 6, "forged": 4, "graph": 6, "tokenizer": 4, "builtin": 1, "profile": 6, "cache": 3, "data": 8}
SHARES |= {"posted": 4, "checkpoint": 5, "tokenized": 4, "torch": 1, "sentences": 4}
SHARES |= dict.fromkeys(("albert", "deberta-v2", "modernbert", "mpnet"), 2)


def base_names(targets: list[str]) -> set[str]:
    """Return the folders that targets need; data are evaluated with the bundle."""
    return {TARGETS[name].base for name in targets} | {"bundle"}


def _jobs(targets: list[str], first_seed: int) -> Iterator[Job]:
    turns = [name for name in targets for _ in range(SHARES.get(name, 1))]
    seeds = collections.Counter(dict.fromkeys(targets, first_seed))
    for name in itertools.cycle(turns):
        yield Job(name, seeds[name])
        seeds[name] += 1


class _Report:
    """Counts outcomes and keeps the first finding of each kind."""

    def __init__(self, out: Path | None):
        self.counts: collections.Counter[str] = collections.Counter()
        self.kinds: collections.Counter[str] = collections.Counter()
        self.faults: dict[str, Outcome] = {}
        self._out, self._lock = out, threading.Lock()

    def is_new(self, found: Outcome) -> bool:
        """Return whether this is a finding of a kind that was not met yet."""
        return found.is_fault and found.signature not in self.faults

    def add(self, found: Outcome) -> None:
        """Count an outcome, and print it if it is a finding of a new kind."""
        with self._lock:
            self.counts[found.job.target] += 1
            self.kinds[found.kind] += 1
            if not found.is_fault:
                return
            if self.is_new(found):
                self.faults[found.signature] = found
                print(found, flush=True)  # noqa: T201
            if self._out is not None:
                row = {"target": found.job.target, "seed": found.job.seed, "kind": found.kind, "detail": found.detail}
                with open(self._out, "a", encoding="utf-8") as file:
                    file.write(
                        json.dumps({**row, "recipe": found.recipe, "cpu_s": found.cpu_s, "mb": found.growth_mb}) + "\n"
                    )


def _work(jobs: Iterator[Job], lock: threading.Lock, end: float, workspace: Path, report: _Report) -> None:
    worker = Worker(workspace)
    try:
        while time.monotonic() < end:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            found = worker.run(job)
            if report.is_new(found):
                found = shortened(found, worker)
            report.add(found)
    finally:
        worker.close()


def main() -> int:
    """Run and return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--target", action="append", choices=[*SHARES, "planted"], help="by default all")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--count", type=int, help="so many mutants and no more")
    parser.add_argument("--recipe", help="one mutant, of one target")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="a file that all findings are added to, a line of JSON each")
    options = parser.parse_args()

    targets = options.target or list(SHARES)
    recipe = json.loads(options.recipe) if options.recipe else None
    count = 1 if recipe is not None else options.count
    jobs = itertools.islice(_jobs(targets, options.seed), count)
    jobs = (Job(job.target, job.seed, recipe) for job in jobs)
    report, lock, start = _Report(options.out), threading.Lock(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        workspace = Path(place)
        make_bases(workspace, base_names(targets))
        end = time.monotonic() + options.minutes * 60
        threads = [
            threading.Thread(target=_work, args=(jobs, lock, end, workspace, report)) for _ in range(options.workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    total, minutes = report.counts.total(), (time.monotonic() - start) / 60
    print(f"{total} mutants in {minutes:.1f} minutes from seed {options.seed}: {dict(report.counts)}")  # noqa: T201
    print(f"outcomes: {dict(report.kinds)}; {len(report.faults)} kinds of findings")  # noqa: T201
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
