"""How often two files of answers name the same label: those of this machine's processor and of an emulated one."""

import csv
import itertools
from pathlib import Path

TEXTS = 2000
LEAST = 0.995


def write_texts(reviews: Path, out: Path) -> None:
    """Write texts that the built-in bundle was not trained on, one a line, from the files of movie_reviews.py."""
    texts: list[str] = []
    for split in ("dev.tsv", "test.tsv"):
        with open(reviews / split, encoding="utf-8", newline="") as file:
            texts += [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    texts += (reviews / "unlabelled.txt").read_text(encoding="utf-8").splitlines()
    # One that is given twice would count twice.
    chosen = list(itertools.islice(dict.fromkeys(texts), TEXTS))
    out.write_text("".join(f"{text}\n" for text in chosen), encoding="utf-8")


def agreement(here: Path, there: Path) -> float:
    """Return the share of answers with the same label.

    Raises:
        ValueError: the files do not answer the same texts.
    """
    ours, theirs = _labels(here), _labels(there)
    if [text for text, _ in ours] != [text for text, _ in theirs] or len(ours) != TEXTS:
        raise ValueError(f"expected answers to {TEXTS} texts, the same ones, found {len(ours)} and {len(theirs)}")
    return sum(one == other for one, other in zip(ours, theirs, strict=True)) / TEXTS


def _labels(path: Path) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]
