"""How well is the latency of shapes predicted that were not measured?

Every shape is measured in the same processes, so that the machine's drift is no part of the answer. The cost model gets
lengths 16, 64 and 128 in batches of 1 and 8, and is asked for the others: lengths 24, 48 and 96, and batches of 4. The
built-in bundle's largest, middle and smallest sub-network in every way, and BERT-base's largest with random weights.

    python benchmarks/cost_model.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import random_checkpoint

from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device
from edgebert.measuring import profiler
from edgebert.measuring.cost_model import CostModel
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet, Stability

EXPORT = Path(__file__).parent / "contenders" / "edgebert_export.py"
LENGTHS, BATCH_SIZES = (16, 24, 48, 64, 96, 128), (1, 4, 8)
KNOWN_LENGTHS, KNOWN_BATCH_SIZES = (16, 64, 128), (1, 8)
BUILTIN = ("w1.00-d1.00-int8-static", "w0.50-d0.75-int8-static", "w0.25-d0.50-int8-static")
BERT = ("w1.00-d1.00-int8", "w0.25-d0.50-int8")
TOO_HIGH = 0.02  # above the bound by more than that is above it


@dataclass(frozen=True)
class Guess:
    """One shape that the model had not seen; `error` and `over_bound` are shares of what was predicted."""

    entry: str
    batch_size: int
    length: int
    measured_ms: float
    expected_ms: float
    bound_ms: float

    @property
    def error(self) -> float:
        return self.expected_ms / self.measured_ms - 1

    @property
    def over_bound(self) -> float:
        return self.measured_ms / self.bound_ms - 1


@dataclass(frozen=True)
class Errors:
    """How far guesses are off; `above_bound` is how many cost more than their bound."""

    guesses: int
    median: float
    p95: float
    worst: float
    mean: float
    above_bound: int
    worst_above_bound: float


def profile(bundle: Bundle, subnets: Sequence[str]) -> DeviceProfile:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        return profiler.profile(bundle, lengths=LENGTHS, batch_sizes=BATCH_SIZES, subnets=subnets, provider="cpu")


def guesses(entry: ProfiledSubnet) -> list[Guess]:
    """Predict the shapes of an entry that a model of the others is not told."""
    known = [row for row in entry.latency if is_known(row.batch_size, row.length)]
    model = CostModel(known, entry.pad_to)
    return [
        Guess(
            entry=f"{entry.id} ({entry.way})",
            batch_size=row.batch_size,
            length=row.length,
            measured_ms=row.p50_ms,
            expected_ms=model.expected_ms(row.length, row.batch_size),
            bound_ms=model.bound_ms(row.length, row.batch_size),
        )
        for row in entry.latency
        if not is_known(row.batch_size, row.length)
    ]


def is_known(batch_size: int, length: int) -> bool:
    return batch_size in KNOWN_BATCH_SIZES and length in KNOWN_LENGTHS


def asked(guess: Guess) -> bool:
    """Whether a shape is one that the aim speaks of: single texts of other lengths, or batches of 4."""
    return guess.batch_size in (1, 4)


def errors(found: Sequence[Guess]) -> Errors:
    off = np.abs([guess.error for guess in found])
    over = [guess.over_bound for guess in found]
    return Errors(
        guesses=len(found),
        median=float(np.median(off)),
        p95=float(np.percentile(off, 95)),
        worst=float(off.max()),
        mean=float(np.mean([guess.error for guess in found])),
        above_bound=sum(share > TOO_HIGH for share in over),
        worst_above_bound=max(over),
    )


def export_bert(vocabulary: Path, folder: Path) -> Bundle:
    random_checkpoint.write("BERT-base", vocabulary, folder / "checkpoint")
    subprocess.run(
        [sys.executable, str(EXPORT), str(folder / "checkpoint"), str(folder / "bundle")],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return Bundle.load(folder / "bundle")


def measure(vocabulary: Path) -> dict[str, DeviceProfile]:
    found = {"MiniLM-L6": profile(Bundle.load(), BUILTIN)}
    if vocabulary.exists():
        with tempfile.TemporaryDirectory() as name:
            found["BERT-base, random"] = profile(export_bert(vocabulary, Path(name)), BERT)
    return found


def print_summary(result: dict) -> None:
    print(f"{result['device']}; errors as shares of what was measured, medians of latency\n")
    rows = [
        [
            *name.split(": "),
            f"{one.guesses}",
            f"{one.median:.1%}",
            f"{one.p95:.1%}",
            f"{one.worst:.1%}",
            f"{one.mean:+.1%}",
            f"{one.above_bound} of {one.guesses}",
            f"{one.worst_above_bound:+.1%}",
        ]
        for name, one in result["errors"].items()
    ]
    columns = ["shapes", "guesses", "median", "95th", "worst", "mean", "above bound", "at worst"]
    print_table(rows, ["model", *columns])
    for model, stability in result["stability"].items():
        if stability.warning:
            print(f"\nUNSTABLE: {model}: {stability.warning}")


def summary(found: dict[str, DeviceProfile]) -> dict:
    by_kind: dict[str, list[Guess]] = {}
    for model, profiled in found.items():
        for guess in (guess for entry in profiled.subnetworks for guess in guesses(entry) if asked(guess)):
            kind = "1 text" if guess.batch_size == 1 else "4 texts"
            for key in (f"{model}: {kind}", f"{model}: all", "all: all"):
                by_kind.setdefault(key, []).append(guess)
    stability: dict[str, Stability] = {model: profiled.stability for model, profiled in found.items()}
    total = by_kind.pop("all: all")
    return {
        "device": str(this_device()),
        "errors": {kind: errors(some) for kind, some in [*by_kind.items(), ("all: all", total)]},
        "guesses": total,
        "stability": stability,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, default=Path("checkpoints/builtin/pretrained/vocab.txt"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = summary(measure(options.vocabulary))
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
