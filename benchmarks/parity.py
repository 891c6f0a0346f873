"""Does every fp32 graph, fused and portable, compute what transformers computes for the same sub-network?

The other side of the comparison shares no code with edgebert: transformers' own model, from which the layers were
dropped, and in which the columns that read the dropped heads and neurons were set to zero. Random weights with biases,
padded batches with two segments, lengths from 2 to the model's longest, and noise where the padding is.

    python benchmarks/parity.py
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import random_checkpoint
import torch
from transformers import BertForSequenceClassification

from edgebert.cli.output import print_json, print_table
from edgebert.exporters.build import export

WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)
# The lengths, in tokens, of the texts of each batch.
BATCHES = ((2,), (2, 3, 5, 17, 40), (128, 64, 100), (255, 512))


@dataclass(frozen=True)
class Difference:
    """How far a graph's logits lie from the oracle's, and how large those are."""

    model: str
    subnetwork: str
    max_abs_logit_difference: float
    max_abs_logit: float


def oracle(checkpoint: Path, width: float, depth: float) -> BertForSequenceClassification:
    """Return transformers' model without the layers that a depth drops, and deaf to what a width drops."""
    model = BertForSequenceClassification.from_pretrained(checkpoint).eval()
    layers, config = model.bert.encoder.layer, model.config
    kept = [math.floor(place / depth) for place in range(round(depth * len(layers)))]
    model.bert.encoder.layer = torch.nn.ModuleList([layers[place] for place in kept])
    for layer in model.bert.encoder.layer:
        layer.attention.output.dense.weight.data[:, round(width * config.hidden_size) :] = 0
        layer.output.dense.weight.data[:, round(width * config.intermediate_size) :] = 0
    return model


def random_batches(vocabulary: int, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """Yield graph inputs (batch, length) int64; padding holds tokens that nothing may attend to."""
    generator = np.random.default_rng(seed)
    for lengths in BATCHES:
        shape = (len(lengths), max(lengths))
        places, ends = np.arange(shape[1]), np.array(lengths)[:, None]
        yield {
            "input_ids": generator.integers(0, vocabulary, shape),
            "attention_mask": (places < ends).astype(np.int64),
            "token_type_ids": (places >= ends // 2).astype(np.int64),
        }


@torch.inference_mode()
def compare(graph: Path, model: BertForSequenceClassification) -> tuple[float, float]:
    """Return the largest logit difference over all batches, and the largest logit."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    difference = largest = 0.0
    for inputs in random_batches(model.config.vocab_size):
        found = session.run(None, inputs)[0]
        expected = model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits.numpy()
        difference = max(difference, float(np.abs(found - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    return difference, largest


def measure(shape: str, vocabulary: Path) -> Iterator[Difference]:
    with tempfile.TemporaryDirectory() as name:
        checkpoint, out = Path(name) / "checkpoint", Path(name) / "bundle"
        random_checkpoint.write(shape, vocabulary, checkpoint)
        bundle = export(checkpoint, out, widths=WIDTHS, depths=DEPTHS, precisions=["fp32"])
        for subnet in bundle.manifest.subnetworks:
            model = oracle(checkpoint, subnet.width, subnet.depth)
            for flavor, graph in subnet.graphs.items():
                yield Difference(shape, f"{subnet.id} {flavor}", *compare(out / graph.file, model))


def print_summary(differences: Sequence[Difference], seconds: dict[str, float]) -> None:
    rows = [
        [one.model, one.subnetwork, f"{one.max_abs_logit_difference:.1e}", f"{one.max_abs_logit:.2f}"]
        for one in differences
    ]
    print_table(rows, ["model", "sub-network", "logit difference", "largest logit"])
    worst = max(differences, key=lambda one: one.max_abs_logit_difference)
    print(f"\nworst: {worst.max_abs_logit_difference:.1e}, {worst.subnetwork} of {worst.model}")
    print(f"took {', '.join(f'{value:.0f} s for {model}' for model, value in seconds.items())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, default=Path("checkpoints/builtin/pretrained/vocab.txt"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    differences, seconds = [], {}
    for shape in random_checkpoint.SHAPES:
        start = time.monotonic()
        differences += measure(shape, options.vocabulary)
        seconds[shape] = time.monotonic() - start
    if options.json:
        worst = max(one.max_abs_logit_difference for one in differences)
        print_json({"worst_abs_logit_difference": worst, "subnetworks": differences, "seconds": seconds})
    else:
        print_summary(differences, seconds)


if __name__ == "__main__":
    main()
