"""Is Bort 7.9 times as fast as BERT, and which BERT would that be?

Bort (4 layers, 8 heads, 1024 hidden, 768 FFN neurons), BERT-base and BERT-large with random weights, through the same
exporter and on the same provider. Each measurement is one in a fresh process; the three take turns, and their latencies
are compared within a round. The interval of a ratio is that of the rounds' median (by order statistics, 95 %). All have
a vocabulary of 1,000 words, since a row that is gathered costs the same in a table of any size; the parameters are
counted with their real ones.

    python benchmarks/bort_speed.py                    # needs 6 GB of memory and 3 GB of disk; about 25 minutes
    python benchmarks/bort_speed.py --lengths 512 --rounds 5
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebert.cli.output import print_json
from edgebert.elastic.bort.architecture import Architecture, SharedSizes
from edgebert.elastic.bort.latencies import write_checkpoint
from edgebert.engines.cpu import CPU
from edgebert.exporters.build import export
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device, thread_counts
from edgebert.measuring.latency_statistics import median_interval
from edgebert.measuring.profiler import profile

BERT = SharedSizes(vocabulary=30522, positions=512, types=2, labels=2)
MODELS = {
    "Bort": (Architecture(4, 8, 1024, 768), SharedSizes(vocabulary=50265, positions=512, types=0, labels=2)),
    "BERT-base": (Architecture(12, 12, 768, 3072), BERT),
    "BERT-large": (Architecture(24, 16, 1024, 4096), BERT),
}


@dataclass(frozen=True)
class Measured:
    """The median latency of a model for one shape in one round."""

    model: str
    precision: str
    threads: int
    length: int
    round: int
    ms: float


@dataclass(frozen=True)
class Comparison:
    """How many times a model's latency is Bort's, over rounds, for one shape."""

    model: str
    precision: str
    threads: int
    length: int
    ms: float
    bort_ms: float
    ratio: float
    low: float
    high: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="16,64,128", help="tokens (default: 16,64,128)")
    parser.add_argument("--threads", help="default: one, half the cores and all")
    parser.add_argument("--precisions", default="fp32,int8", help="default: fp32,int8")
    parser.add_argument("--models", default=",".join(MODELS), help="default: all three; the first is compared with")
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    lengths = [int(length) for length in options.lengths.split(",")]
    threads = [int(count) for count in options.threads.split(",")] if options.threads else thread_counts()
    models, precisions = options.models.split(","), options.precisions.split(",")
    with tempfile.TemporaryDirectory() as folder:
        bundles = {model: _bundle(model, max(lengths), precisions, Path(folder)) for model in models}
        measured = list(_rounds(bundles, lengths, threads, options.rounds))
    comparisons = [
        _compared(model, models[0], precision, count, length, measured)
        for precision in precisions
        for count in threads
        for length in lengths
        for model in models[1:]
    ]
    if options.json:
        print_json({"device": this_device(), "comparisons": comparisons, "measured": measured})
    else:
        _print(comparisons, models, options.rounds)


def _bundle(model: str, length: int, precisions: Sequence[str], folder: Path) -> Bundle:
    architecture, _ = MODELS[model]
    print(f"exporting {model}", file=sys.stderr, flush=True)
    write_checkpoint([architecture], length, folder / "checkpoint")
    bundle = export(folder / "checkpoint", folder / model, precisions=precisions)
    shutil.rmtree(folder / "checkpoint")
    return bundle


def _rounds(
    bundles: dict[str, Bundle], lengths: Sequence[int], threads: Sequence[int], rounds: int
) -> Iterator[Measured]:
    """Yield what each model takes, the models in turn."""
    for this_round in range(1, rounds + 1):
        for count in threads:
            for model, bundle in bundles.items():
                print(f"round {this_round}: {model}, {count} thread(s)", file=sys.stderr, flush=True)
                for entry in profile(bundle, lengths=lengths, threads=count, quick=True).subnetworks:
                    precision = bundle.subnet(entry.id).precision
                    for row in entry.latency:
                        yield Measured(model, precision, count, row.length, this_round, row.p50_ms)


def _compared(
    model: str, base: str, precision: str, threads: int, length: int, measured: Sequence[Measured]
) -> Comparison:
    of_shape = [one for one in measured if (one.precision, one.threads, one.length) == (precision, threads, length)]
    base_ms = {one.round: one.ms for one in of_shape if one.model == base}
    model_ms = {one.round: one.ms for one in of_shape if one.model == model}
    ratios = [ms / base_ms[this_round] for this_round, ms in model_ms.items()]
    ms, bort_ms = float(np.median(list(model_ms.values()))), float(np.median(list(base_ms.values())))
    return Comparison(
        model, precision, threads, length, ms, bort_ms, float(np.median(ratios)), *median_interval(ratios)
    )


def _print(comparisons: Sequence[Comparison], models: Sequence[str], rounds: int) -> None:
    print(f"{this_device()}; {CPU.version()}; batch 1, {rounds} rounds, medians in ms, [95 % interval]\n")
    parameters = (f"{name} {one.parameters(frame) / 1e6:.1f} M" for name, (one, frame) in MODELS.items())
    print(f"parameters with pooler and two labels: {', '.join(parameters)}\n")
    others = models[1:]
    print(f"| precision | threads | tokens | {models[0]} | {' | '.join(f'{m} | times {models[0]}' for m in others)} |")
    print("| --- | --- | --- | --- |" + " --- | --- |" * len(others))
    shapes = list(dict.fromkeys((one.precision, one.threads, one.length) for one in comparisons))
    for shape in shapes:
        found = [one for one in comparisons if (one.precision, one.threads, one.length) == shape]
        cells = [f"{one.ms:.2f} | {one.ratio:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in found]
        print(f"| {' | '.join(map(str, shape))} | {found[0].bort_ms:.2f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
