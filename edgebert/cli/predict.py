"""Answer texts with the best sub-network that meets a budget."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments

if TYPE_CHECKING:
    from edgebert.choosing.selection import Selection
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.tokenization import Text
    from edgebert.tasks.task import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts to label")
    parser.add_argument("--file", metavar="FILE", help=".tsv, .csv, .jsonl, else a text a line; - is standard input")
    parser.add_argument("--out", metavar="OUT", help="write there; what it holds of an interrupted run is not redone")
    arguments.add_bundle(parser, "--bundle")
    arguments.add_budget(parser)
    parser.add_argument("--subnet", metavar="ID", help="this sub-network, whatever it costs")
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> None:
    """Predict and print or write a line for each text: label, score, text, separated by tabs.

    A file is answered in batches on all cores; with a budget, or where texts may come slowly, one by one.
    """
    if bool(options.text) == bool(options.file):
        options.usage_error("expected texts or --file, one of the two; pass - as the file for standard input")
    has_budget = options.latency_ms is not None or options.memory_mb is not None
    in_batches = options.file is not None and not _is_stream(options.file) and not has_budget
    if options.out and (options.json or not in_batches):
        options.usage_error("expected --out with a plain --file, without a budget and --json; or use the shell's >")
    _answer_file(options) if in_batches else _answer_one_by_one(options)


def _is_stream(file: str) -> bool:
    """Return whether this is standard input, a pipe or a terminal."""
    return file == "-" or (Path(file).exists() and not Path(file).is_file())


def _answer_one_by_one(options: argparse.Namespace) -> None:
    from edgebert.serving.predictor import load

    budget = {"latency_ms": options.latency_ms, "memory_mb": options.memory_mb}
    with load(options.bundle, **budget, subnet=options.subnet, profile=options.profile) as model:
        predictions = ((text, model(text)[0]) for text in options.text or _texts_of(options.file))
        if options.json:
            _print_json(predictions, model.selection)
            return
        _print_lines(predictions)
        _print_subnets(list(model.stats().subnetworks) or [model.selection.subnetwork])


def _answer_file(options: argparse.Namespace) -> None:
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.measuring.profiler import check_profile
    from edgebert.serving.answer_file import append, kept
    from edgebert.serving.bulk import answer_texts

    bundle = Bundle.load(options.bundle)
    if options.profile:  # nothing is chosen from it, but a wrong one is said to be so
        check_profile(DeviceProfile.load(options.profile), bundle)
    selection = _unlimited(bundle, options.subnet)
    if not options.out:
        predictions = answer_texts(bundle, selection, _texts_of(options.file))
        if not sys.stdout.isatty():
            predictions = _shown(predictions, 0, options.file, selection.subnetwork)
        if options.json:
            _print_json(predictions, selection)
            return
        _print_lines(predictions)
        _print_subnets([selection.subnetwork])
        return
    before = kept(Path(options.out), _texts_of(options.file), bundle.manifest.labels)
    predictions = answer_texts(bundle, selection, _texts_of(options.file), start=before.lines)
    append(Path(options.out), before, _shown(predictions, before.lines, options.file, selection.subnetwork))
    _print_subnets([selection.subnetwork])


def _unlimited(bundle: "Bundle", subnet: str | None) -> "Selection":
    """Return the choice that nothing limits: the sub-network of that name, or the best."""
    from edgebert.choosing.selection import Budget, named, select_unprofiled
    from edgebert.engines.session import default_way

    budget, way = Budget().of(bundle), default_way()
    return select_unprofiled(bundle, budget, way) if subnet is None else named(bundle.subnet(subnet), budget, way)


def _texts_of(file: str) -> Iterator["Text"]:
    from edgebert.inputs.dataset import read_examples

    return (example.input for example in read_examples(file))


def _shown(
    predictions: Iterator[tuple["Text", "Answer"]], done: int, file: str, subnet_id: str
) -> Iterator[tuple["Text", "Answer"]]:
    """Yield predictions while a bar on a terminal shows how many there are."""
    from edgebert.cli.output import progress_bar

    total = _count_lines(file) if sys.stderr.isatty() else 0
    with progress_bar() as show:
        for number, prediction in enumerate(predictions, done + 1):
            yield prediction
            show(number, total, subnet_id)


def _count_lines(file: str) -> int:
    with open(file, "rb") as lines:
        return sum(1 for _ in lines)


def _print_lines(predictions: Iterable[tuple["Text", "Answer"]]) -> None:
    from edgebert.serving.answer_file import line_of

    for text, prediction in predictions:
        print(line_of(text, prediction), end="")


def _print_subnets(names: Iterable[str]) -> None:
    print(f"answered by {', '.join(names)}", file=sys.stderr)


def _print_json(predictions: Iterable[tuple["Text", "Answer"]], selection: "Selection") -> None:
    """Print one JSON object piece by piece, since a long file's predictions need not fit into memory."""
    import msgspec

    # Printed with the first, so that a bad one prints nothing.
    before = f'{{"selection": {msgspec.json.encode(selection).decode()}, "predictions": [\n'
    for _, prediction in predictions:
        print(before, msgspec.json.encode(prediction).decode(), sep="", end="")
        before = ",\n"
    print("\n]}")
