"""Each task from training to the exported graphs, on real data: the quality of every sub-network on dev.

MiniLM-L6 is trained as DynaBERT and exported in int8 for banking77 (77 intents), GoEmotions (28 emotions, any number of
them a text), STS-B (how similar two sentences are), and the tags of SNIPS (slots of commands) and WNUT-17 (emerging
names). The data are TSV files in one folder each; their sources and
licences stand in benchmarks/README.md. Where there is no dev.tsv, dev is a tenth of train.tsv, chosen by the texts'
hashes. The commands are those that a user would type; a run that was interrupted goes on where it was.

    python benchmarks/tasks.py --data DATA --work checkpoints/tasks                       # all of them
    python benchmarks/tasks.py --data DATA --work checkpoints/tasks --only stsb-en        # one of them
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

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
        "snips-slots", "token-classification", epochs=4, fine_tune_epochs=4, max_length=48, fine_tune_learning_rate=2e-4
    ),
    Trial(
        "wnut17-ner", "token-classification", epochs=6, fine_tune_epochs=6, max_length=96, fine_tune_learning_rate=2e-4
    ),
)


def split(source: Path, out: Path) -> None:
    """Write train.tsv and dev.tsv; of a data set without dev, those rows whose text's hash ends in 8."""
    out.mkdir(parents=True)
    header, *rows = (source / "train.tsv").read_text(encoding="utf-8").splitlines()
    if (source / "dev.tsv").is_file():
        dev = (source / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    else:
        dev = [row for row in rows if int(hashlib.sha1(row.split("\t")[0].encode()).hexdigest(), 16) % 10 == 8]
        rows = sorted(set(rows) - set(dev))

    for name, lines in (("train", rows), ("dev", dev)):
        (out / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def run(trial: Trial, options: argparse.Namespace) -> Bundle:
    """Return the bundle of a data set, trained and exported unless it is there."""
    work, pretrained = options.work / trial.data, options.work / "pretrained"
    if not pretrained.exists():
        download_pretrained(pretrained)
    if not (work / "data").exists():
        split(options.data / trial.data, work / "data")

    train, dev = work / "data" / "train.tsv", work / "data" / "dev.tsv"
    files = ("--model", pretrained, "--train", train, "--dev", dev, "--out", work / "elastic")
    lengths = ("--max-length", trial.max_length, "--epochs", trial.epochs, "--fine-tune-epochs", trial.fine_tune_epochs)
    rate = ("--fine-tune-learning-rate", trial.fine_tune_learning_rate)
    if not (work / "bundle").exists():
        edgebert("train", "dynabert", "--task", trial.task, *files, *lengths, *rate)
        edgebert("export", work / "elastic", "--out", work / "bundle", "--eval", dev, "--max-length", 128)
    return Bundle.load(work / "bundle")


def table(bundle: Bundle) -> tuple[list[list[str]], list[str]]:
    """Return the qualities of a bundle's sub-networks, as rows and headers."""
    first = bundle.manifest.subnetworks[0].quality
    assert first is not None, "exported with --eval"
    rows = []
    for subnet in bundle.manifest.subnetworks:
        quality, error = subnet.quality, subnet.export_error
        assert quality is not None, "exported with --eval"
        others = [f"{value:.3f}" for value in quality.also.values()]
        rows.append(
            [subnet.id, f"{quality.value:.3f}", *others, f"{error.agreement:.3f}", f"{error.quality_drop:+.3f}"]
        )
    return rows, ["sub-network", first.metric, *first.also, "as in float32", "int8 loses"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder for each data set")
    parser.add_argument("--work", type=Path, default=Path("checkpoints/tasks"))
    parser.add_argument("--only", choices=[trial.data for trial in TRIALS])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    results = {}
    for trial in TRIALS:
        if options.only in (None, trial.data):
            bundle = run(trial, options)
            rows, headers = table(bundle)
            results[trial.data] = [dict(zip(headers, row, strict=True)) for row in rows]
            if not options.json:
                print(f"\n{trial.data} ({trial.task}), dev\n\n{tabulate(rows, headers, disable_numparse=True)}")
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
