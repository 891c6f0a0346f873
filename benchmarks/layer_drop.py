"""Prints the table of strategies and dropped layers, mean and spread over seeds, from one or more explorations.

    edgebert train layer-drop --explore --drop 1,2,3 --seeds 1,2,3 --epochs 2 --learning-rate 1e-4 \\
        --model MINILM --train train.tsv --dev dev.tsv --out EXPLORED
    python benchmarks/layer_drop.py EXPLORED [MORE ...]
"""

import argparse
import json
import statistics
from pathlib import Path

from edgebert import records
from edgebert.elastic.layer_drop.exploration import EXPLORED, Exploration, Explored
from edgebert.elastic.layer_drop.strategies import STRATEGIES
from edgebert.errors import TrainingError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("explored", type=Path, nargs="+", help="folders that `train layer-drop --explore` wrote")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    trainings = [one for folder in options.explored for one in read(folder)]
    full = [one.score for one in trainings if not one.dropped]
    scores: dict[tuple[str, int], list[float]] = {}
    for one in trainings:
        if one.dropped:
            scores.setdefault((one.strategy, one.dropped), []).append(one.score)
    if options.json:
        found = [{"strategy": name, "dropped": drop, "scores": each} for (name, drop), each in scores.items()]
        print(json.dumps({"full": full, "dropped": found}))
        return
    drops = sorted({drop for _, drop in scores})
    print(f"full: {cell(full, full)}\n")
    print("|".join(["", " strategy ", *(f" {drop} dropped " for drop in drops), ""]))
    print("|" + " --- |" * (len(drops) + 1))
    for strategy in STRATEGIES:
        cells = [cell(scores[strategy, drop], full) if (strategy, drop) in scores else "" for drop in drops]
        print("|".join(["", f" {strategy} ", *(f" {one} " for one in cells), ""]))


def read(folder: Path) -> tuple[Exploration, ...]:
    return records.read(folder / EXPLORED, Explored, TrainingError).trainings


def cell(scores: list[float], full: list[float]) -> str:
    """Return mean, standard deviation over seeds, and share of the full model's mean, in per cent."""
    mean = statistics.mean(scores)
    spread = f" ± {100 * statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{100 * mean:.1f}{spread} ({100 * mean / statistics.mean(full):.1f})"


if __name__ == "__main__":
    main()
