"""Answers from training to the exported graphs, on real data: F1 of every sub-network on dev.

MiniLM-L6 is trained as DynaBERT and exported in int8 for restaurant8k-spans: of what a guest says, the words that are
the time, the people, the date, a name. Dev is a tenth of train.tsv, chosen by the hashes of what is said, so that no
sentence is in both. The commands are those that a user would type; a run that was interrupted goes on where it was.

    python benchmarks/answers.py --data DATA/restaurant8k-spans --work checkpoints/answers
"""

import argparse
import hashlib
import json
from pathlib import Path

from builtin_bundle import download_pretrained, edgebert
from tabulate import tabulate
from tasks import table

from edgebert.inputs.bundle import Bundle


def split(source: Path, out: Path) -> None:
    """Write train.tsv and dev.tsv, which has those rows whose context's hash ends in 8."""
    out.mkdir(parents=True)
    header, *rows = (source / "train.tsv").read_text(encoding="utf-8").splitlines()
    place = header.split("\t").index("pair")
    dev = [row for row in rows if int(hashlib.sha1(row.split("\t")[place].encode()).hexdigest(), 16) % 10 == 8]
    train = sorted(set(rows) - set(dev))
    for name, lines in (("train", train), ("dev", dev)):
        (out / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def run(options: argparse.Namespace) -> Bundle:
    """Return the bundle, trained and exported unless it is there."""
    work, pretrained = options.work, options.model or options.work / "pretrained"
    if not pretrained.exists():
        download_pretrained(pretrained)
    if not (work / "data").exists():
        split(options.data, work / "data")
    if not (work / "bundle").exists():
        dev, seed = work / "data" / "dev.tsv", ("--seed", options.seed)
        files = ("--model", pretrained, "--train", work / "data" / "train.tsv", "--dev", dev, "--out", work / "elastic")
        rates = ("--fine-tune-epochs", 4, "--fine-tune-learning-rate", 2e-4, "--epochs", options.epochs)
        edgebert("train", "dynabert", "--task", "question-answering", *files, "--max-length", 128, *rates, *seed)
        edgebert("export", work / "elastic", "--out", work / "bundle", "--eval", dev, "--max-length", 128)
    return Bundle.load(work / "bundle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of restaurant8k-spans")
    parser.add_argument("--work", type=Path, default=Path("checkpoints/answers"))
    parser.add_argument("--model", type=Path, help="a checkpoint to start from (default: MiniLM-L6, downloaded)")
    parser.add_argument("--epochs", type=int, default=6, help="of distillation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    rows, headers = table(run(options))
    if options.json:
        print(json.dumps([dict(zip(headers, row, strict=True)) for row in rows], indent=1))
    else:
        print(f"restaurant8k-spans (question-answering), dev\n\n{tabulate(rows, headers, disable_numparse=True)}")


if __name__ == "__main__":
    main()
