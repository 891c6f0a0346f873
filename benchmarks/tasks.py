"""Each task from training to the exported graphs, on real data: the quality of every sub-network on dev.

MiniLM-L6 is trained as DynaBERT and exported in int8 for banking77 (77 intents), GoEmotions (28 emotions, any number of
them a text), STS-B (how similar two sentences are), the tags of SNIPS (slots of commands) and WNUT-17 (emerging names),
and restaurant8k (of what a guest says, the words that are the time, the people, the date, a name). The data are TSV
files in one folder each; their sources and licences stand in benchmarks/README.md. Where there is no dev.tsv, dev is a
tenth of train.tsv, chosen by the texts' hashes. The commands are those that a user would type; a run that was
interrupted goes on where it was.

    python benchmarks/tasks.py --data DATA --work checkpoints/tasks                       # all of them
    python benchmarks/tasks.py --data DATA --work checkpoints/tasks --only stsb-en        # one of them
    python benchmarks/tasks.py --data DATA --work checkpoints/tasks --only snips-slots --seeds 1,2,3
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from builtin_bundle import download_pretrained, edgebert
from tabulate import tabulate

from edgebert.inputs.bundle import Bundle


@dataclass(frozen=True)
class Trial:
    """A data set, its task, and how it is trained; where there are more texts, epochs are fewer and steps larger."""

    data: str
    task: str
    epochs: int
    fine_tune_epochs: int
    max_length: int
    fine_tune_learning_rate: float = 5e-5
    # Rows with the same words here are all in train, or all in dev.
    split_by: str = "text"


TRIALS = (
    Trial("banking77", "text-classification", epochs=4, fine_tune_epochs=6, max_length=64),
    Trial("stsb-en", "text-regression", epochs=10, fine_tune_epochs=4, max_length=96),
    Trial(
        "goemotions-multilabel",
        "multi-label-text-classification",
        epochs=1,
        fine_tune_epochs=2,
        max_length=48,
        fine_tune_learning_rate=2e-4,
    ),
    Trial(
        "snips-slots", "token-classification", epochs=8, fine_tune_epochs=4, max_length=48, fine_tune_learning_rate=2e-4
    ),
    Trial(
        "wnut17-ner", "token-classification", epochs=6, fine_tune_epochs=6, max_length=96, fine_tune_learning_rate=2e-4
    ),
    Trial(
        "restaurant8k-spans",
        "question-answering",
        epochs=6,
        fine_tune_epochs=4,
        max_length=128,
        fine_tune_learning_rate=2e-4,
        split_by="pair",
    ),
)


def split(source: Path, out: Path, split_by: str) -> None:
    """Write train.tsv and dev.tsv; of a data set without dev, those rows of which the hash of a column ends in 8."""
    out.mkdir(parents=True)
    header, *rows = (source / "train.tsv").read_text(encoding="utf-8").splitlines()
    if (source / "dev.tsv").is_file():
        dev = (source / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    else:
        place = header.split("\t").index(split_by)
        dev = [row for row in rows if int(hashlib.sha1(row.split("\t")[place].encode()).hexdigest(), 16) % 10 == 8]
        rows = sorted(set(rows) - set(dev))

    for name, lines in (("train", rows), ("dev", dev)):
        (out / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def data_of(trial: Trial, options: argparse.Namespace) -> tuple[Path, Path]:
    """Return the files of train and dev, split unless they are there."""
    folder = options.work / trial.data / "data"
    if not folder.exists():
        split(options.data / trial.data, folder, trial.split_by)
    return folder / "train.tsv", folder / "dev.tsv"


def run(trial: Trial, seed: int, options: argparse.Namespace) -> Bundle:
    """Return the bundle of a data set, trained and exported unless it is there."""
    work, pretrained = options.work / trial.data, options.model or options.work / "pretrained"
    if not pretrained.exists():
        download_pretrained(pretrained)
    train, dev = data_of(trial, options)
    elastic, bundle = (work / (name if seed == 1 else f"{name}-{seed}") for name in ("elastic", "bundle"))
    files = ("--model", pretrained, "--train", train, "--dev", dev, "--out", elastic, "--seed", seed)
    lengths = ("--max-length", trial.max_length, "--epochs", trial.epochs, "--fine-tune-epochs", trial.fine_tune_epochs)
    rate = ("--fine-tune-learning-rate", trial.fine_tune_learning_rate)
    if not bundle.exists():
        edgebert("train", "dynabert", "--task", trial.task, *files, *lengths, *rate)
        edgebert("export", elastic, "--out", bundle, "--eval", dev, "--max-length", 128)
    return Bundle.load(bundle)


def table(bundles: Sequence[Bundle]) -> list[dict[str, str]]:
    """Return a row for each sub-network: its qualities, what it keeps of the full one's, and what int8 loses.

    Of several trainings, they are means, with the lowest and the highest share that is kept.
    """
    rows = []
    for alike in zip(*(bundle.manifest.subnetworks for bundle in bundles), strict=True):
        kept = [one.quality.value / full(bundle) for one, bundle in zip(alike, bundles, strict=True)]
        metrics = [{one.quality.metric: one.quality.value, **one.quality.also} for one in alike]
        means = {name: f"{mean(found[name] for found in metrics):.3f}" for name in metrics[0]}
        between = f" ({min(kept):.1%} to {max(kept):.1%})" if len(kept) > 1 else ""
        rows.append(
            {
                "sub-network": alike[0].id,
                **means,
                "keeps": f"{mean(kept):.1%}{between}",
                "as in float32": f"{mean(one.export_error.agreement for one in alike):.3f}",
                "int8 loses": f"{mean(one.export_error.quality_drop for one in alike):+.3f}",
            }
        )
    return rows


def full(bundle: Bundle) -> float:
    """Return the quality of the full network of a bundle."""
    return max(bundle.manifest.subnetworks, key=lambda one: one.parameters).quality.value


def main() -> None:
    names = [trial.data for trial in TRIALS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder for each data set")
    parser.add_argument("--work", type=Path, default=Path("checkpoints/tasks"))
    parser.add_argument("--model", type=Path, help="a checkpoint to start from (default: MiniLM-L6, downloaded)")
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument("--split-only", action="store_true", help="write WORK/*/data/train.tsv and dev.tsv, and end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.split_only:
        for trial in TRIALS:
            data_of(trial, options)
        return

    results = {}
    for trial in TRIALS:
        if trial.data in options.only:
            results[trial.data] = rows = table([run(trial, seed, options) for seed in options.seeds])
            if not options.json:
                print(f"\n{trial.data} ({trial.task}), dev\n\n{tabulate(rows, headers='keys', disable_numparse=True)}")
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
