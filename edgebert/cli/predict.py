"""Label texts with the most accurate sub-network that meets a budget."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edgebert.cli import arguments

if TYPE_CHECKING:
    from edgebert.predictor import Prediction, Predictor
    from edgebert.tokenization import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts to label")
    parser.add_argument("--file", metavar="FILE", help=".tsv, .csv, .jsonl, else a text a line; - is standard input")
    arguments.add_bundle(parser, "--bundle")
    arguments.add_budget(parser)
    parser.add_argument("--subnet", metavar="ID", help="this sub-network, whatever it costs")
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> None:
    """Predict and print a line for each text: label, score, text, separated by tabs."""
    from edgebert.predictor import load

    if bool(options.text) == bool(options.file):
        options.usage_error("expected texts or --file, one of the two; pass - as the file for standard input")
    budget = {"latency_ms": options.latency_ms, "memory_mb": options.memory_mb}
    with load(options.bundle, **budget, subnet=options.subnet, profile=options.profile) as model:
        predictions = _predictions(model, options.text or _texts_of(options.file))
        _print_json(model, predictions) if options.json else _print_lines(model, predictions)


def _texts_of(file: str) -> Iterator["Text"]:
    from edgebert.dataset import read_examples

    return (example.input for example in read_examples(file))


def _predictions(model: "Predictor", texts: Iterable["Text"]) -> Iterator[tuple["Text", "Prediction"]]:
    """Yield each text with its prediction, holding one text at a time."""
    for text in texts:
        yield text, model(text)[0]


def _print_lines(model: "Predictor", predictions: Iterator[tuple["Text", "Prediction"]]) -> None:
    for text, prediction in predictions:
        shown = " ".join(" | ".join([text] if isinstance(text, str) else text).split())
        print(prediction["label"], f"{prediction['score']:.4f}", shown, sep="\t")
    print(f"answered by {model.subnet.id}", file=sys.stderr)


def _print_json(model: "Predictor", predictions: Iterator[tuple["Text", "Prediction"]]) -> None:
    """Print one JSON object piece by piece, since a long file's predictions need not fit into memory."""
    import msgspec

    selection = msgspec.json.encode(model.selection).decode()
    before = (
        f'{{"selection": {selection}, "predictions": [\n'  # printed with the first, so that a bad one prints nothing
    )
    for _, prediction in predictions:
        print(before, msgspec.json.encode(prediction).decode(), sep="", end="")
        before = ",\n"
    print("\n]}")
