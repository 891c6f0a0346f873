"""Answer texts with the best sub-network that meets a budget."""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments
from edgebert.cli.arguments import add, from_options
from edgebert.cli.output import print_json, print_text, progress_bar
from edgebert.errors import EdgeBertError

if TYPE_CHECKING:
    from edgebert.choosing.selection import Selection
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.tokenization import Text
    from edgebert.serving.answer_file import Kept
    from edgebert.serving.predictor import Predictor
    from edgebert.tasks.task import Answer, TopK

    Answers = Iterator[tuple[Text, Answer]]

_STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts to answer (default: those on standard input)")
    add(parser, "--file", str, "FILE", ".tsv, .csv, .jsonl, else a text a line; - is standard input")
    out = "write answers there, as .tsv, .csv or .jsonl says; what it holds of an interrupted run is not done again"
    add(parser, "--out", str, "FILE", out)
    add(parser, "--top-k", _top_k, "N|all", "labels for each text (default: the best)", "best")
    arguments.add_bundle_option(parser)
    add(parser, "--subnet", str, "ID", "this sub-network, whatever it costs")
    arguments.add_budget(parser)


def _top_k(text: str) -> "TopK":
    """Return how many labels a text gets: the best one by itself, a list of so many, or with None a list of all."""
    if text == "best":
        return "best"
    return None if text == "all" else arguments.count(text)


def run(options: argparse.Namespace) -> None:
    """Answer and print or write a line for each text.

    A file is answered in batches on all cores; with a budget, or where texts may come slowly, as they come.
    """
    from edgebert.inputs.bundle import Bundle
    from edgebert.serving.answer_file import kept

    _check_texts(options)
    _check_out(options)
    bundle = Bundle.load(options.bundle)
    done = kept(Path(options.out), _texts(options), bundle.manifest.labels) if options.out else None
    start = done.lines if done else 0

    # A limit is one for each request, so texts then go one request after the other, as an app would send them.
    is_limited = options.latency_ms is not None or options.memory_mb is not None
    if options.text or is_limited or _is_stream(options.file):
        with _loaded(bundle, options) as model:
            _deliver(_as_they_come(model, options, start), model.selection, options, done)
            subnet_ids = list(model.stats().subnetworks) or [model.selection.subnetwork]
    else:
        selection = _chosen(bundle, options)
        _deliver(_in_batches(bundle, selection, options, start), selection, options, done)
        subnet_ids = [selection.subnetwork]
    print_text(f"answered by {', '.join(subnet_ids)}", file=sys.stderr)


def _check_texts(options: argparse.Namespace) -> None:
    """Find out what is to be answered: a name of a file is never taken for a text."""
    # `edgebert predict reviews.tsv` is a slip that would be answered, with a label for the name.
    if options.text and options.file:
        options.usage_error("expected TEXT or --file, found both")
    for text in options.text:
        if os.path.isfile(text):
            options.usage_error(f"TEXT is the name of a file; to answer what it holds, pass --file '{text}'")
        if os.path.isfile(os.path.join(text, "bundle.json")):
            options.usage_error(f"TEXT is the folder of a bundle; to answer with it, pass --bundle '{text}'")
    if not options.text and not options.file:
        # At a terminal there is nothing to read, and waiting for it would look like a hang.
        if sys.stdin is None or sys.stdin.isatty():
            options.usage_error("expected TEXT, --file FILE, or texts on standard input")
        options.file = _STANDARD_INPUT


def _check_out(options: argparse.Namespace) -> None:
    from edgebert.serving.answer_file import form_of

    if not options.out:
        return
    try:
        form_of(Path(options.out))
    except EdgeBertError as problem:
        options.usage_error(str(problem))
    # To go on after an interruption, what was answered is read again from the beginning, which a stream cannot be.
    if not options.text and _is_stream(options.file):
        options.usage_error("expected --out with TEXT or a plain --file, found standard input; use the shell's >")


def _is_stream(file: str) -> bool:
    """Return whether this is standard input, a pipe or a terminal."""
    # A file that is not there is none: reading it says so.
    return file == _STANDARD_INPUT or (Path(file).exists() and not Path(file).is_file())


def _texts(options: argparse.Namespace) -> Iterator["Text"]:
    from edgebert.inputs.dataset import read_examples

    return iter(options.text) if options.text else (example.input for example in read_examples(options.file))


def _loaded(bundle: "Bundle", options: argparse.Namespace) -> "Predictor":
    """Return a model for the budget; texts that are known need not be taken to be as long as the bundle allows."""
    from edgebert.serving.parameters import length_of
    from edgebert.serving.predictor import load

    length = options.length or (length_of(bundle, options.text) if options.text else None)
    return from_options(load, options, bundle=bundle, length=length)


def _as_they_come(model: "Predictor", options: argparse.Namespace, start: int) -> "Answers":
    """Yield each text with its answer: those of the command line in one call, else as many as share a request."""
    texts = itertools.islice(_texts(options), start, None)
    size = len(options.text) or options.batch_size
    while request := list(itertools.islice(texts, size)):
        yield from zip(request, model(request, top_k=options.top_k), strict=True)


def _chosen(bundle: "Bundle", options: argparse.Namespace) -> "Selection":
    """Return the choice for a file without a limit: by the profile, if it matters what things cost."""
    from edgebert.choosing.selection import Budget
    from edgebert.engines.session import default_way, way_filter
    from edgebert.serving.parameters import choose, profile_source

    budget, source = from_options(Budget, options).of(bundle), None
    # Without a limit nothing needs to be measured first: a file of texts is not kept waiting for a quick profile.
    if options.profile or budget.tolerance:
        asked = way_filter(options.provider, options.threads)
        source = profile_source(bundle, budget.batch_size, asked, options.profile)
    return choose(bundle, options.subnet, budget, default_way(options.provider, options.threads), source)


def _in_batches(bundle: "Bundle", selection: "Selection", options: argparse.Namespace, start: int) -> "Answers":
    """Yield each text of a file with its answer, with a bar on a terminal that does not show the answers."""
    from edgebert.serving.bulk import answer_texts

    answers = answer_texts(bundle, selection, _texts(options), start=start, top_k=options.top_k)
    if sys.stdout.isatty() and not options.out:
        yield from answers
        return

    total = 0
    # Counting the lines reads the file once more: only for a bar that is seen.
    if sys.stderr.isatty():
        with open(options.file, "rb") as lines:
            total = sum(1 for _ in lines)
    with progress_bar() as show:
        for number, answer in enumerate(answers, start + 1):
            yield answer
            show(number, total, selection.subnetwork)


def _deliver(answers: "Answers", selection: "Selection", options: argparse.Namespace, done: "Kept | None") -> None:
    """Write or print the answers: JSON piece by piece, since those to a long file need not fit into memory."""
    import msgspec

    from edgebert.serving.answer_file import append, line_of

    if done is not None:
        append(Path(options.out), done, answers)
        if options.json:
            print_json({"selection": selection, "out": options.out})
    elif options.json:
        # Printed with the first answer, so that a bad text prints nothing.
        before = f'{{"selection": {msgspec.json.encode(selection).decode()}, "predictions": [\n'
        for _, answer in answers:
            print_text(before + msgspec.json.encode(answer).decode(), end="")
            before = ",\n"
        print_text("\n]}")
    else:
        for text, answer in answers:
            print_text(line_of(text, answer), end="")
