"""What do the full network's start, its memory and a family's files cost, against the peers?

Each contender starts in a fresh process, loads the network and answers twenty texts. Load time ends when the session is
ready, the time to the first answer counts from process start until the parent has read it, and memory is what the
process holds for itself afterwards (USS; PSS adds its share of what it shares with others). Contenders take turns, and
are compared with edgebert's int8 pair by pair; one round before the first is not counted. OpenVINO keeps what it
compiled in a cache on disk, as its guide advises.

The files are a bundle of twelve int8 sub-networks, and twelve torch exports quantised by `quantize_dynamic`. In those,
heads that are cut stand as zeros, since transformers models cannot lose them; so the bytes that the parameters of all
twelve would take without them are shown too.

    pip install '.[peers]'
    python benchmarks/peers_start.py
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import peer_models
from peer_contenders import CONTENDERS, CPU, ORT_OURS, QUANTIZE_DYNAMIC, REFERENCE, SMALLEST, Contender, edgebert, run

from edgebert.cli.arguments import count
from edgebert.cli.output import megabytes, print_json, print_table, progress_bar
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.machine.device import default_threads, this_device
from edgebert.measuring.latency_statistics import median_interval

QUANTITIES = {"load_ms": "load, ms", "start_ms": "first answer, ms", "uss_mb": "USS, MB", "pss_mb": "PSS, MB"}
TEXTS = 20
SMALLEST_OURS = replace(edgebert("int8", "fused", CPU, SMALLEST), name=f"{SMALLEST} of it")


def cached(name: str) -> Contender:
    """Return one of OpenVINO's contenders with its cache."""
    return replace(CONTENDERS[name], options={**CONTENDERS[name].options, "cache": True})


CTRANSLATE2 = CONTENDERS["ctranslate2/int8"]
STARTED = (
    ORT_OURS,
    SMALLEST_OURS,
    QUANTIZE_DYNAMIC,
    cached("openvino/int8"),
    cached("openvino/bf16"),
    CTRANSLATE2,
    REFERENCE,
)


@dataclass(frozen=True)
class Spread:
    """A quantity in all rounds but the one that is not counted, and ours times what it is, pair by pair."""

    median: float
    min: float
    max: float
    times_ours: float
    times_ours_ci95: tuple[float, float]


@dataclass(frozen=True)
class Files:
    """The bytes of twelve sub-networks in one bundle, in twelve exports, and of the parameters alone."""

    bundle_bytes: int
    exports_bytes: int
    parameters_bytes: int


def start(contender: Contender, model: Path, threads: int, texts: Sequence[str]) -> dict[str, float]:
    """Return what a fresh process took, by quantity."""
    tokenizer = str(model / "bundle" / "tokenizer.json")
    outcome = run(contender, model, threads, "first_answers", texts=texts, tokenizer=tokenizer)
    return {"load_ms": outcome.load_ms, "start_ms": outcome.first_line_ms, **outcome.figures}


def measure(models: Sequence[Path], options: argparse.Namespace) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Return what each contender took in each round, by model."""
    examples = itertools.islice(read_examples(options.eval), TEXTS)
    texts, found = [example.text for example in examples], {model.name: [] for model in models}
    with progress_bar() as on_progress:
        for number in range(options.pairs + 1):
            for model in models:
                on_progress(number, options.pairs + 1, model.name)
                one = {contender.name: start(contender, model, options.threads, texts) for contender in STARTED}
                found[model.name].append(one)
    return {model: rounds[1:] for model, rounds in found.items()}


def spread(rounds: Sequence[dict[str, dict[str, float]]], contender: str, quantity: str) -> Spread:
    values = [one[contender][quantity] for one in rounds]
    times = [one[contender][quantity] / one[ORT_OURS.name][quantity] for one in rounds]
    return Spread(median(values), min(values), max(values), median(times), median_interval(times))


def files(model: Path) -> Files:
    family = Bundle.load(model / "family")
    return Files(
        bundle_bytes=sum(file.stat().st_size for file in family.path.iterdir()),
        exports_bytes=sum(file.stat().st_size for file in (model / "family-dynamic").iterdir()),
        parameters_bytes=sum(subnet.parameters for subnet in family.manifest.subnetworks),
    )


def show(result: dict) -> None:
    print(f"{result['device']}; {result['pairs']} pairs, {result['threads']} threads")
    print("median (min - max); times edgebert's int8, with the 95 % interval of its median")
    for model, contenders in result["models"].items():
        print(f"\n{model}\n")
        rows = [
            [name, *(f"{one.median:.0f} ({one.min:.0f} - {one.max:.0f})" for one in spreads.values())]
            for name, spreads in contenders.items()
        ]
        print_table(rows, ["contender", *QUANTITIES.values()])
        print()
        rows = [[name, *map(times, spreads.values())] for name, spreads in contenders.items() if name != ORT_OURS.name]
        print_table(rows, ["times int8", *QUANTITIES.values()])
    print()
    show_files(result["files"])


def times(one: Spread) -> str:
    return f"{one.times_ours:.2f} ({one.times_ours_ci95[0]:.2f} - {one.times_ours_ci95[1]:.2f})"


def show_files(found: dict[str, Files]) -> None:
    rows = []
    for model, one in found.items():
        for what, size in (
            ("one bundle", one.bundle_bytes),
            ("twelve exports, quantize_dynamic", one.exports_bytes),
            ("twelve times the parameters, one byte each", one.parameters_bytes),
        ):
            rows.append([what, model, megabytes(size), f"{size / one.bundle_bytes:.2f}"])
    print_table(rows, ["twelve sub-networks", "model", "bytes", "times the bundle"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_models.add_options(parser)
    parser.add_argument("--eval", type=Path, default=Path("checkpoints/builtin/movie-reviews/dev.tsv"))
    parser.add_argument("--pairs", type=count, default=7, help="6 or more, for a 95 %% interval")
    parser.add_argument("--threads", type=count, default=default_threads())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    models = peer_models.make(options, (*peer_models.FOR_SPEED, *peer_models.FAMILIES))
    measured = measure(models, options)
    result = {
        "device": str(this_device()),
        "pairs": options.pairs,
        "threads": options.threads,
        "models": {
            model: {one.name: {name: spread(rounds, one.name, name) for name in QUANTITIES} for one in STARTED}
            for model, rounds in measured.items()
        },
        "files": {model.name: files(model) for model in models},
    }
    print_json(result) if options.json else show(result)


if __name__ == "__main__":
    main()
