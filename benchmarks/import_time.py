"""How long does `import edgebert` take, how long until `edgebert --help` has answered, and is torch left alone?

The import is timed by the interpreter itself (-X importtime, cumulative), the command line from start to end, and an
interpreter that does nothing beside it; each in fresh processes that take turns, after one round that is not counted.

    python benchmarks/import_time.py
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edgebert.cli.output import print_json, print_table
from edgebert.machine.device import this_device

WORKSTATION_ONLY = ("torch", "transformers", "onnx")
HELP = [str(Path(sys.executable).parent / "edgebert"), "--help"]
NOTHING = [sys.executable, "-c", "pass"]


@dataclass(frozen=True)
class Round:
    """One fresh process of each kind, and the modules that the import brought."""

    import_ms: float
    help_ms: float
    interpreter_ms: float
    modules: frozenset[str]


def measure() -> Round:
    imported = import_times_ms()
    return Round(imported["edgebert"], wall_ms(HELP), wall_ms(NOTHING), frozenset(imported))


def import_times_ms() -> dict[str, float]:
    """Return the cumulative import time of each module that `import edgebert` loads, by its name."""
    command = [sys.executable, "-X", "importtime", "-c", "import edgebert"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    # import time:   self [us] | cumulative | imported package
    lines = [line.split("|") for line in report.splitlines() if line.startswith("import time:")]
    return {name.strip(): int(cumulative) / 1000 for _, cumulative, name in lines[1:]}


def wall_ms(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = [measure() for _ in range(options.runs + 1)][1:]
    result = {"device": str(this_device()), "runs": options.runs}
    for quantity in ("import_ms", "help_ms", "interpreter_ms"):
        values = [getattr(one, quantity) for one in rounds]
        result[quantity] = {"median": median(values), "min": min(values), "max": max(values)}
    result["imported"] = {name: any(name in one.modules for one in rounds) for name in WORKSTATION_ONLY}
    print_json(result) if options.json else print_summary(result)


def print_summary(result: dict) -> None:
    words = {"import_ms": "import edgebert", "help_ms": "edgebert --help", "interpreter_ms": "python alone"}
    times = [(word, result[quantity]) for quantity, word in words.items()]
    rows = [[word, f"{found['median']:.0f}", f"{found['min']:.0f} - {found['max']:.0f}"] for word, found in times]
    print(f"{result['device']}; {result['runs']} runs\n")
    print_table(rows, ["what", "median, ms", "min - max"])
    imported = [f"{name} {'yes' if found else 'no'}" for name, found in result["imported"].items()]
    print(f"\nimported by edgebert: {', '.join(imported)}")


if __name__ == "__main__":
    main()
