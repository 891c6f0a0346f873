"""How accurate are the sub-networks of MiniLM-L6 on the movie reviews, and against what a user would do instead?

The contenders, as exported int8 graphs (and fp32 ones, for the difference), read on a split that nothing was chosen on:

* cut: the fine-tuned model, rewired and cut, not trained any more; its full network is plain fine-tuning;
* alone: each cut network fine-tuned on its own, from the same start, as many epochs as the full one;
* paper: DynaBERT as published, after each of its stages (width, depth, final);
* elastic: what `edgebert train dynabert` makes, which is the built-in bundle.

Training them all takes about 3 hours on 2 cores; what is finished in --work is not repeated.

    python benchmarks/accuracy_grid.py --work checkpoints/builtin --split dev     # while choosing
    python benchmarks/accuracy_grid.py --work checkpoints/builtin --split test    # once, at the end
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import builtin_bundle
import msgspec
from tabulate import tabulate

from edgebert.elastic.checkpoint import load_elastic
from edgebert.elastic.dynabert.method import DEPTHS, WIDTHS, stage_subnets
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.training_data import TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingRun
from edgebert.engines.session import default_way, open_session
from edgebert.exporters.build import export
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.tasks.metrics import wilson_interval
from edgebert.tasks.tasks import task_in

GRID = [(width, depth) for depth in sorted(DEPTHS, reverse=True) for width in sorted(WIDTHS, reverse=True)]
FULL = "w1.00-d1.00"


@dataclass(frozen=True)
class Answers:
    """Which examples of a split a sub-network got right, in int8 and in fp32."""

    int8: list[bool]
    fp32: list[bool]


def name_of(width: float, depth: float) -> str:
    """Return a sub-network's name without its precision."""
    return f"w{width:.2f}-d{depth:.2f}"


def train_alone(work: Path, width: float, depth: float) -> Path:
    """Fine-tune one slice of the rewired model on its own; return its checkpoint."""
    data, rewired = work / "movie-reviews", work / "elastic.training" / "rewired"
    folder, name = work / "alone", name_of(width, depth)
    folder.mkdir(exist_ok=True)
    files = TrainingFiles(rewired, data / "train.tsv", data / "dev.tsv", folder / f"{name}.out")
    run = TrainingRun.prepare(files, RunOptions(work=folder), load_elastic)
    stage = msgspec.structs.replace(fine_tuning(), name=name, widths=(width,), depths=(depth,))
    return run.run_stage(stage, rewired, stage_subnets(run.config, stage))


def train_paper(work: Path) -> Path:
    """Train as the paper does, from the same fine-tuned model, on the same texts; return the stages' folder."""
    data = work / "movie-reviews"
    files = ("--model", work / "elastic.training" / "fine-tuned", "--transfer", data / "unlabelled.txt")
    files += ("--train", data / "train.tsv", "--dev", data / "dev.tsv", "--out", work / "paper")
    builtin_bundle.edgebert("train", "dynabert", *files, "--recipe", "paper", "--stages", "width,depth,final")
    return work / "paper.training"


def exported(checkpoint: Path, out: Path, widths: Sequence[float], depths: Sequence[float]) -> Bundle:
    """Return a checkpoint's bundle in both precisions, made if it is not there or the checkpoint is newer."""
    weights = checkpoint / "model.safetensors"
    if out.exists() and (out / "bundle.json").stat().st_mtime < weights.stat().st_mtime:
        shutil.rmtree(out)
    if not out.exists():
        export(checkpoint, out, widths=widths, depths=depths, precisions=("int8", "fp32"), max_length=128, pairs=False)
    return Bundle.load(out)


def answers(bundle: Bundle, subnet: str, split: Path) -> Answers:
    """Return which examples of a split a sub-network's two graphs get right, asked one by one."""
    tokenizer, task, found = Tokenizer.of(bundle), task_in(bundle.manifest), {}
    for precision in ("int8", "fp32"):
        session = open_session(bundle, bundle.subnet(f"{subnet}-{precision}"), default_way("cpu", threads=2))
        found[precision] = []
        for example in read_examples(split):
            logits = session.run(pad([tokenizer.encode(example.input)], session.input_names))["logits"]
            found[precision].append(int(logits[0].argmax()) == task.target(example))
    return Answers(**found)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the two-sided exact p-value that two contenders err equally often (McNemar 1947, binomial form)."""
    wins = sum(a and not b for a, b in zip(first, second, strict=True))
    losses = sum(b and not a for a, b in zip(first, second, strict=True))
    tail = sum(math.comb(wins + losses, k) for k in range(min(wins, losses) + 1)) / 2 ** (wins + losses)
    return min(1.0, 2 * tail)


def measure(work: Path, split: Path) -> dict[str, dict[str, Answers]]:
    """Return the answers of every contender's sub-networks, by contender and name."""
    stages = work / "elastic.training"
    grids = {"cut": stages / "rewired", "elastic": work / "elastic"}
    paper = train_paper(work)
    grids |= {f"paper {stage}": paper / stage for stage in ("width", "depth", "final")}
    found = {}
    for contender, checkpoint in grids.items():
        bundle = exported(checkpoint, work / "bundles" / contender.replace(" ", "-"), WIDTHS, DEPTHS)
        found[contender] = {name_of(*cut): answers(bundle, name_of(*cut), split) for cut in GRID}
    found["alone"] = {}
    for width, depth in GRID:
        checkpoint = train_alone(work, width, depth)
        name = name_of(width, depth)
        bundle = exported(checkpoint, work / "bundles" / f"alone-{name}", (width,), (depth,))
        found["alone"][name] = answers(bundle, name, split)
    return found


def share(right: Sequence[bool]) -> float:
    """Return the accuracy in per cent."""
    return 100 * sum(right) / len(right)


def report(found: dict[str, dict[str, Answers]], split: str) -> dict:
    """Return what is printed and written: for each sub-network every contender's accuracy and the comparisons."""
    rows = []
    for width, depth in GRID:
        name = name_of(width, depth)
        ours = found["elastic"][name]
        low, high = wilson_interval(sum(ours.int8), len(ours.int8))
        rows.append(
            {
                "subnetwork": name,
                "accuracy": {contender: share(subnets[name].int8) for contender, subnets in found.items()},
                "elastic_ci95": [100 * low, 100 * high],
                "elastic_of_full": share(ours.int8) / share(found["elastic"][FULL].int8),
                "int8_minus_fp32": share(ours.int8) - share(ours.fp32),
                "p_against_alone": mcnemar(ours.int8, found["alone"][name].int8),
                "p_against_paper": mcnemar(ours.int8, found["paper final"][name].int8),
            }
        )
    return {"split": split, "samples": len(found["elastic"][FULL].int8), "subnetworks": rows}


def show(result: dict) -> None:
    """Print the table."""
    contenders = ["cut", "alone", "paper width", "paper depth", "paper final"]
    print(f"{result['split']} split, {result['samples']} samples, int8 graphs, accuracy in per cent\n")
    rows = [
        [
            row["subnetwork"],
            *(f"{row['accuracy'][contender]:.1f}" for contender in contenders),
            f"{row['accuracy']['elastic']:.1f} ({row['elastic_ci95'][0]:.1f} - {row['elastic_ci95'][1]:.1f})",
            f"{100 * row['elastic_of_full']:.1f}",
            f"{row['int8_minus_fp32']:+.1f}",
            f"{row['p_against_alone']:.3f}",
        ]
        for row in result["subnetworks"]
    ]
    headers = ["sub-network", *contenders, "elastic (95 %)", "of full", "int8 - fp32", "p alone"]
    print(tabulate(rows, headers, disable_numparse=True, colalign=["left", *["right"] * (len(headers) - 1)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("checkpoints/builtin"))
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    parser.add_argument("--train-only", action="store_true", help="train all contenders, read no split but dev")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    builtin_bundle.train(options.work)
    if options.train_only:
        for cut in GRID:
            train_alone(options.work, *cut)
        train_paper(options.work)
        return
    result = report(measure(options.work, options.work / "movie-reviews" / f"{options.split}.tsv"), options.split)
    json.dump(result, sys.stdout, indent=1) if options.json else show(result)


if __name__ == "__main__":
    main()
