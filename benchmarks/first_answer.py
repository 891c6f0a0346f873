"""How long from process start to the first answer, and how much memory, against transformers on the same checkpoint?

Each contender answers one text in a fresh process, which counts until the parent has read the answer. They take turns,
A B A B, and are compared pair by pair, since machines drift. One pair before the first is not counted: it brings the
files into the system's cache. The answer carries the resident memory, so both times hold the import of psutil.

    python benchmarks/first_answer.py --checkpoint checkpoints/builtin/elastic
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edgebert.cli.output import print_json, print_table
from edgebert.machine.device import this_device
from edgebert.measuring.latency_statistics import median_interval

CONTENDERS = Path(__file__).parent / "contenders"
TEXT = "A warm, funny and quietly moving film that earns every one of its laughs."
QUANTITIES = ("start_ms", "resident_mb")


@dataclass(frozen=True)
class FirstAnswer:
    """One contender's answer in a fresh process: when it was there, and what the process then held."""

    label: str
    score: float
    resident_mb: float
    start_ms: float


def first_answer(command: Sequence[str]) -> FirstAnswer:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        line = process.stdout.readline()
        start_ms = (time.perf_counter() - start) * 1000
        _, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"error: {command[0]} ended with status {process.returncode}:\n{errors}")
    return FirstAnswer(**json.loads(line), start_ms=start_ms)


def measure(checkpoint: Path, pairs: int) -> dict[str, list[FirstAnswer]]:
    """Return each contender's answers, one for each pair."""
    commands = {
        "edgebert": [str(CONTENDERS / "edgebert_first.py"), TEXT],
        "transformers": [str(CONTENDERS / "transformers_first.py"), str(checkpoint), TEXT],
    }
    rounds = [{name: first_answer(command) for name, command in commands.items()} for _ in range(pairs + 1)]
    return {name: [answers[name] for answers in rounds[1:]] for name in commands}


def summary(answers: Sequence[FirstAnswer]) -> dict[str, object]:
    spreads = {}
    for quantity in QUANTITIES:
        values = [getattr(answer, quantity) for answer in answers]
        spreads[quantity] = {"median": median(values), "min": min(values), "max": max(values)}
    return {"label": answers[0].label, "score": answers[0].score, **spreads}


def ratio(measured: dict[str, list[FirstAnswer]], quantity: str) -> dict[str, object]:
    """Return how many times edgebert's quantity transformers' is, pair by pair."""
    pairs = zip(measured["transformers"], measured["edgebert"], strict=True)
    ratios = [getattr(theirs, quantity) / getattr(ours, quantity) for theirs, ours in pairs]
    return {"median": median(ratios), "ci95": median_interval(ratios), "pairs": ratios}


def print_summary(result: dict) -> None:
    rows = []
    for name, found in result["contenders"].items():
        spreads = [found[quantity] for quantity in QUANTITIES]
        cells = [f"{s['median']:.0f} ({s['min']:.0f} - {s['max']:.0f})" for s in spreads]
        rows.append([name, *cells, f"{found['label']} {found['score']:.4f}"])
    ratios = [result["ratio"][quantity] for quantity in QUANTITIES]
    rows.append(["ratio", *(f"{r['median']:.2f} ({r['ci95'][0]:.2f} - {r['ci95'][1]:.2f})" for r in ratios), ""])
    print(f"{result['device']}; {result['pairs']} pairs")
    print("median (min - max); the ratio, transformers by edgebert, with the 95 % interval of its median\n")
    print_table(rows, ["contender", "first answer, ms", "resident memory, MB", "answer"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/builtin/elastic"))
    parser.add_argument("--pairs", type=int, default=7, help="6 or more, for a 95 %% interval")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = measure(options.checkpoint, options.pairs)
    result = {
        "device": str(this_device()),
        "checkpoint": str(options.checkpoint),
        "pairs": options.pairs,
        "contenders": {name: summary(answers) for name, answers in measured.items()},
        "ratio": {quantity: ratio(measured, quantity) for quantity in QUANTITIES},
    }
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
