"""What does a cascade gain over the best single network, and what does it cost in accuracy?

The pair and its threshold are chosen on the dev split that the bundle was exported with. Both contenders answer the
same texts one by one in one process, in turns; one pass before the first is not counted.

    python benchmarks/cascade.py --data checkpoints/builtin/movie-reviews/test.tsv
"""

import argparse
import time
from pathlib import Path

import numpy as np

import edgebert
from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.latency_statistics import median_interval
from edgebert.tasks.metrics import wilson_interval
from edgebert.tasks.tasks import task_in


def answered(model: edgebert.Predictor, texts: list[str]) -> tuple[float, list[str]]:
    """Return the mean latency in milliseconds, and the labels."""
    start = time.perf_counter()
    labels = [model(text)[0]["label"] for text in texts]
    return (time.perf_counter() - start) * 1000 / len(texts), labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, default=Path("profiles/amd-epyc-2-cores.json"))
    parser.add_argument("--data", type=Path, default=Path("checkpoints/builtin/movie-reviews/dev.tsv"))
    parser.add_argument("--tolerance", type=float, default=0.003)
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, profile = Bundle.load(), DeviceProfile.load(options.profile)
    examples = list(read_examples(options.data))
    texts, labels = [one.text for one in examples], bundle.manifest.labels
    right = [labels[task_in(bundle.manifest).target(one)] for one in examples]
    with edgebert.load(bundle, profile=profile, cascade=True, tolerance=options.tolerance, length=32) as pair:
        # As good as the best one on dev, and faster: what the budget buys alone.
        top = pair.subnet
        with edgebert.load(bundle, subnet=top.id) as full:
            passes = [(answered(full, texts), answered(pair, texts)) for _ in range(options.passes + 1)][1:]
        cascade = pair.cascade
    ratios = [one[0][0] / one[1][0] for one in passes]
    rows = []
    for name, number in ((top.id, 0), ("cascade", 1)):
        correct = sum(found == label for found, label in zip(passes[-1][number][1], right, strict=True))
        low, high = wilson_interval(correct, len(right))
        mean_ms = float(np.median([one[number][0] for one in passes]))
        rows.append({"name": name, "mean_ms": mean_ms, "accuracy": correct / len(right), "ci95": (low, high)})
    result = {
        "data": str(options.data),
        "contenders": rows,
        "times_faster": float(np.median(ratios)),
        "times_faster_ci95": median_interval(ratios),
        "first": str(cascade.first.entry.id) if cascade else None,
        "second": str(cascade.second.entry.id) if cascade else None,
        "threshold": cascade.threshold if cascade else None,
        "share_second_dev": cascade.share_second if cascade else None,
        "loss_dev": cascade.loss if cascade else None,
        "loss_dev_ci95": cascade.loss_ci95 if cascade else None,
    }
    if options.json:
        print_json(result)
        return
    table = [
        [row["name"], f"{row['mean_ms']:.3f}", f"{row['accuracy']:.4f}", "{:.3f} - {:.3f}".format(*row["ci95"])]
        for row in rows
    ]
    print_table(table, ["contender", "mean, ms", "accuracy", "95 % interval"])
    print(f"\n{result['first']}, then {result['second']} below {result['threshold']}: {result['share_second_dev']:.1%}")
    if cascade:
        low, high = cascade.loss_ci95
        print(f"expected loss of accuracy: {cascade.loss:.4f} ({low:.4f} to {high:.4f})")
    print("times faster: {:.2f} ({:.2f} - {:.2f})".format(result["times_faster"], *result["times_faster_ci95"]))


if __name__ == "__main__":
    main()
