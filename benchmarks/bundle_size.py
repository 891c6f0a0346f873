"""How much larger is a bundle of twelve int8 sub-networks than one weight file, and what does its export take?

Two shapes: the MiniLM-L6 of a checkpoint, and BERT-base with random weights; the latter also in every int8 recipe, by
itself and all in one bundle. Each is compared with the largest sub-network alone in int8, too. Each is exported in a
fresh process, timed from its start to its end.

    python benchmarks/bundle_size.py --checkpoint checkpoints/builtin/elastic
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import random_checkpoint

from edgebert import Bundle
from edgebert.cli.output import megabytes, print_json, print_table
from edgebert.machine.device import this_device

EXPORT = Path(__file__).parent / "contenders" / "edgebert_export.py"
RECIPES = ("int8", "int8-static", "int8-weights")
CALIBRATION = [f"{opening} {n} {ending}" for n in range(4) for opening in ("a", "no") for ending in ("film", "of them")]


@dataclass(frozen=True)
class Exported:
    """The bytes of a bundle, by what they are for, and what its export took.

    `ratio` is the bundle by its weights and tokenizer, `ratio_alone` by a bundle of its largest sub-network in int8.
    """

    model: str
    precisions: Sequence[str]
    subnetworks: int
    weights_bytes: int
    tokenizer_bytes: int
    bundle_bytes: int
    ratio: float
    ratio_alone: float
    export_seconds: float
    peak_memory_mb: float


class Exports:
    """Exports one checkpoint into a folder of their own; knows how large its largest sub-network is alone."""

    def __init__(self, model: str, checkpoint: Path, folder: Path) -> None:
        self.model, self.checkpoint, self.folder = model, checkpoint, folder
        folder.mkdir()
        self.calibration = folder / "texts.tsv"
        self.calibration.write_text("\n".join(["text", *CALIBRATION]) + "\n", encoding="utf-8")
        self._export("alone", "--alone")
        self.alone_bytes = size_bytes(folder / "alone")

    def measure(self, *precisions: str) -> Exported:
        name = "-".join(precisions)
        start = time.perf_counter()
        peak = self._export(name, "--precisions", ",".join(precisions), "--calibrate", str(self.calibration))
        seconds = time.perf_counter() - start
        bundle = Bundle.load(self.folder / name)
        weights = sum(file.size_bytes for file in bundle.manifest.weight_files)
        tokenizer = (bundle.path / bundle.manifest.tokenizer.file).stat().st_size
        total = size_bytes(bundle.path)
        return Exported(
            model=self.model,
            precisions=precisions,
            subnetworks=len(bundle.manifest.subnetworks),
            weights_bytes=weights,
            tokenizer_bytes=tokenizer,
            bundle_bytes=total,
            ratio=total / (weights + tokenizer),
            ratio_alone=total / self.alone_bytes,
            export_seconds=seconds,
            peak_memory_mb=peak,
        )

    def _export(self, name: str, *options: str) -> float:
        command = [sys.executable, str(EXPORT), str(self.checkpoint), str(self.folder / name), *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)["peak_memory_mb"]


def size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def print_summary(result: dict) -> None:
    rows = [
        [
            one.model,
            ", ".join(one.precisions),
            one.subnetworks,
            megabytes(one.weights_bytes),
            megabytes(one.tokenizer_bytes),
            megabytes(one.bundle_bytes),
            f"{one.ratio:.4f}",
            f"{one.ratio_alone:.4f}",
            f"{one.export_seconds:.0f} s",
            f"{one.peak_memory_mb:.0f} MB",
        ]
        for one in result["bundles"]
    ]
    print(f"{result['device']}; ratio: the bundle by its weights and tokenizer, and by the largest alone in int8\n")
    sizes = ["weights", "tokenizer", "bundle", "ratio", "by the largest"]
    print_table(rows, ["model", "precisions", "sub-networks", *sizes, "export", "peak memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/builtin/elastic"))
    parser.add_argument("--vocabulary", type=Path, default=Path("checkpoints/builtin/pretrained/vocab.txt"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_checkpoint.write("BERT-base", options.vocabulary, folder / "checkpoint")
        minilm = Exports("MiniLM-L6", options.checkpoint, folder / "minilm")
        bert = Exports("BERT-base, random", folder / "checkpoint", folder / "bert")
        bundles = [minilm.measure("int8"), *(bert.measure(recipe) for recipe in RECIPES), bert.measure(*RECIPES)]
    result = {"device": str(this_device()), "bundles": bundles}
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
