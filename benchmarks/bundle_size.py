"""How much larger is a bundle of twelve int8 sub-networks than one weight file, and what does its export take?

Two shapes: the MiniLM-L6 of a checkpoint, and BERT-base with random weights. Each is exported in a fresh process,
timed from its start to its end.

    python benchmarks/bundle_size.py --checkpoint checkpoints/builtin/elastic
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import random_checkpoint

from edgebert import Bundle
from edgebert.cli.output import megabytes, print_json, print_table
from edgebert.device import this_device

EXPORT = Path(__file__).parent / "contenders" / "edgebert_export.py"


@dataclass(frozen=True)
class Exported:
    """The bytes of a bundle, by what they are for, and what its export took."""

    model: str
    subnetworks: int
    weights_bytes: int
    tokenizer_bytes: int
    bundle_bytes: int
    ratio: float
    export_seconds: float
    peak_memory_mb: float


def measure(model: str, checkpoint: Path, out: Path) -> Exported:
    command = [sys.executable, str(EXPORT), str(checkpoint), str(out)]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - start
    bundle = Bundle.load(out)
    weights = sum(file.size_bytes for file in bundle.manifest.weight_files)
    tokenizer = (out / bundle.manifest.tokenizer.file).stat().st_size
    total = sum(file.stat().st_size for file in out.iterdir())
    return Exported(
        model=model,
        subnetworks=len(bundle.manifest.subnetworks),
        weights_bytes=weights,
        tokenizer_bytes=tokenizer,
        bundle_bytes=total,
        ratio=total / (weights + tokenizer),
        export_seconds=seconds,
        peak_memory_mb=json.loads(done.stdout)["peak_memory_mb"],
    )


def print_summary(result: dict) -> None:
    rows = [
        [
            one.model,
            one.subnetworks,
            megabytes(one.weights_bytes),
            megabytes(one.tokenizer_bytes),
            megabytes(one.bundle_bytes),
            f"{one.ratio:.4f}",
            f"{one.export_seconds:.0f} s",
            f"{one.peak_memory_mb:.0f} MB",
        ]
        for one in result["bundles"]
    ]
    print(f"{result['device']}; ratio: the bundle by its weights and tokenizer\n")
    print_table(rows, ["model", "sub-networks", "weights", "tokenizer", "bundle", "ratio", "export", "peak memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/builtin/elastic"))
    parser.add_argument("--vocabulary", type=Path, default=Path("checkpoints/builtin/pretrained/vocab.txt"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_checkpoint.write("BERT-base", options.vocabulary, folder / "checkpoint")
        bundles = [
            measure("MiniLM-L6", options.checkpoint, folder / "minilm"),
            measure("BERT-base, random", folder / "checkpoint", folder / "bert"),
        ]
    result = {"device": str(this_device()), "bundles": bundles}
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
