"""Answer texts with the best sub-network that meets a budget."""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator
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
    from edgebert.serving.predictor import Predictor
    from edgebert.tasks.task import Answer

    Answers = Iterator[tuple[Text, Answer]]

_STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts to answer (default: those on standard input)")
    add(parser, "--file", str, "FILE", ".tsv, .csv, .jsonl, .json, else a text a line; - is standard input")
    forms = ".tsv, .csv, .jsonl or, for embeddings, .npy"
    out = f"write answers there, as {forms} says; what it holds of an interrupted run is not done again"
    add(parser, "--out", str, "FILE", out)
    add(parser, "--top-k", _top_k, "N|all", "answers for each text (default: the best one)", argparse.SUPPRESS)
    _add_pairs_and_answers(parser)
    _add_entities(parser)
    _add_embeddings(parser)
    arguments.add_bundle_option(parser)
    add(parser, "--subnet", str, "ID", "this sub-network, whatever it costs")
    arguments.add_budget(parser)


def _add_pairs_and_answers(parser: argparse.ArgumentParser) -> None:
    """Add what makes pairs of texts, and what may be asked for of answers to questions."""
    question = "ask this of each text: of a context, or how well a passage suits a query"
    parser.add_argument("--question", "--query", metavar="TEXT", help=question)
    longest = "tokens of the longest answer to a question (15)"
    add(parser, "--max-answer-len", arguments.count, "N", longest, argparse.SUPPRESS)
    stride = "tokens that two windows of a context share (128, or half of a window)"
    add(parser, "--doc-stride", arguments.count, "N", stride, argparse.SUPPRESS)
    for name, text in (
        ("--handle-impossible-answer", "a question may have no answer (default: where a threshold is known)"),
        ("--align-to-words", "answers are whole words (default)"),
    ):
        switch = argparse.BooleanOptionalAction
        parser.add_argument(name, action=switch, default=argparse.SUPPRESS, help=text)


def _add_entities(parser: argparse.ArgumentParser) -> None:
    """Add what may be asked for of labels of tokens."""
    strategy = "of tokens: none, simple, first, average or max, as transformers' pipeline has them (default: none)"
    add(parser, "--aggregation-strategy", str, "NAME", strategy, argparse.SUPPRESS)
    ignored = "labels of tokens that answers leave out, '' for none (default: O)"
    add(parser, "--ignore-labels", _labels, "A,B", ignored, argparse.SUPPRESS)
    stride = "answer long texts in windows that share so many tokens, where they are else cut"
    add(parser, "--stride", arguments.whole_number, "N", stride, argparse.SUPPRESS)


def _add_embeddings(parser: argparse.ArgumentParser) -> None:
    """Add what may be asked for of embeddings."""
    add(parser, "--dims", arguments.count, "N", "numbers of an embedding (default: all)", argparse.SUPPRESS)
    add(parser, "--prompt", str, "PROMPT", "what is put before each text to embed", argparse.SUPPRESS)
    add(parser, "--prompt-name", str, "NAME", "the prompt of the bundle with that name", argparse.SUPPRESS)


# Options of tasks, by the names of their arguments.
_TASK_OPTIONS = (
    *("top_k", "max_answer_len", "doc_stride", "handle_impossible_answer", "align_to_words"),
    *("aggregation_strategy", "ignore_labels", "stride"),
    *("dims", "prompt", "prompt_name"),
)


def _top_k(text: str) -> int | None:
    """Return how many answers a text gets, None for all."""
    return None if text == "all" else arguments.count(text)


def _labels(text: str) -> list[str]:
    """Return labels separated by commas; none of an empty text."""
    return [part.strip() for part in text.split(",") if part.strip()]


def run(options: argparse.Namespace) -> None:
    """Answer and print or write a line for each text.

    A file is answered in batches on all cores; with a budget, or where texts may come slowly, as they come.
    """
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.text_file import is_stream

    _check_texts(options)
    _check_out(options)
    bundle = Bundle.load(options.bundle)
    options.asked = {name: getattr(options, name) for name in _TASK_OPTIONS if hasattr(options, name)}

    # A limit is one for each request, so texts then go one request after the other, as an app would send them.
    if options.text or _is_limited(options) or is_stream(options.file):
        with _loaded(bundle, options) as model:
            _deliver(options, bundle, model.selection, functools.partial(_as_they_come, model, options))
            subnet_ids = list(model.stats().subnetworks) or [model.selection.subnetwork]
    else:
        selection = _chosen(bundle, options)
        _deliver(options, bundle, selection, functools.partial(_in_batches, bundle, selection, options))
        subnet_ids = [selection.subnetwork]
    print_text(f"answered by {', '.join(subnet_ids)}", file=sys.stderr)


def _is_limited(options: argparse.Namespace) -> bool:
    return options.latency_ms is not None or options.memory_mb is not None


def _check_texts(options: argparse.Namespace) -> None:
    """Find out what is to be answered: a name of a file is never taken for a text."""
    # `edgebert predict reviews.tsv` is a slip that would be answered, with a label for the name.
    if options.text and options.file is not None:
        options.usage_error("expected TEXT or --file, found both")
    for text in options.text:
        if os.path.isfile(text):
            options.usage_error(f"TEXT is the name of a file; to answer what it holds, pass --file '{text}'")
        if os.path.isfile(os.path.join(text, "bundle.json")):
            options.usage_error(f"TEXT is the folder of a bundle; to answer with it, pass --bundle '{text}'")
    if options.file == "":  # such as of a variable that was never set
        options.usage_error("expected a file as --file, found an empty name")
    if not options.text and options.file is None:
        # At a terminal there is nothing to read, and waiting for it would look like a hang.
        if sys.stdin is None or sys.stdin.isatty():
            options.usage_error("expected TEXT, --file FILE, or texts on standard input")
        options.file = _STANDARD_INPUT


def _check_out(options: argparse.Namespace) -> None:
    from edgebert.inputs.text_file import is_stream
    from edgebert.serving.answer_file import check_place

    if options.out is None:
        return
    if not options.text and options.file and _are_one(options.file, options.out):
        options.usage_error(f"expected --out to be another file than --file, found '{options.out}', which is the same")
    try:
        check_place(Path(options.out))
    except EdgeBertError as problem:
        options.usage_error(str(problem))
    # To go on after an interruption, what was answered is read again from the beginning, which a stream cannot be.
    if not options.text and is_stream(options.file):
        options.usage_error("expected --out with TEXT or a plain --file, found a stream; use the shell's >")


def _are_one(file: str, out: str) -> bool:
    """Return whether two names lead to one file, by whatever links."""
    return os.path.exists(file) and os.path.exists(out) and os.path.samefile(file, out)


def _texts(options: argparse.Namespace) -> Iterator["Text"]:
    from edgebert.inputs.dataset import read_examples

    if options.text:
        return (_asked_of(options, text) for text in options.text)
    examples = read_examples(options.file, streams=True)
    return (_asked_of(options, example.input, f"{example.place}: ") for example in examples)


def _asked_of(options: argparse.Namespace, text: "Text", place: str = "") -> "Text":
    """Return a text, or the pair of the question and it where one is asked."""
    if options.question is None:
        return text
    if isinstance(text, tuple):
        advice = "leave out --question, or give a file of single texts"
        raise EdgeBertError(f"{place}expected single texts with --question, found a pair; {advice}")
    return options.question, text


def _loaded(bundle: "Bundle", options: argparse.Namespace) -> "Predictor":
    """Return a model for the budget; texts that are known need not be taken to be as long as the bundle allows."""
    from edgebert.serving.parameters import length_of
    from edgebert.serving.predictor import load

    length = options.length or (length_of(bundle, list(_texts(options))) if options.text else None)
    return from_options(load, options, bundle=bundle, length=length)


def _as_they_come(model: "Predictor", options: argparse.Namespace, start: int) -> "Answers":
    """Yield each text with its answer: those of the command line in one call, else as many as share a request."""
    texts = itertools.islice(_texts(options), start, None)
    size = len(options.text) or options.batch_size
    while request := list(itertools.islice(texts, size)):
        yield from zip(request, model(request, **options.asked), strict=True)


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
    from edgebert.tasks.tasks import task_in

    asked = task_in(bundle.manifest).options(options.asked)
    answers = answer_texts(bundle, selection, _texts(options), asked, start=start)
    if sys.stdout.isatty() and not options.out:
        yield from answers
        return

    total = 0
    # Reads the file once more: only for a bar that is seen. What cannot be read is said when it is come to.
    if sys.stderr.isatty():
        with contextlib.suppress(EdgeBertError):
            for _ in _texts(options):
                total += 1
    with progress_bar() as show:
        for number, answer in enumerate(answers, start + 1):
            yield answer
            show(number, total, selection.subnetwork)


def _deliver(
    options: argparse.Namespace, bundle: "Bundle", selection: "Selection", answers_from: "Callable[[int], Answers]"
) -> None:
    """Write or print the answers from the text of a number on, of which those that --out has already are left out."""
    import msgspec

    from edgebert.serving.answer_file import brief_line_of, line_of
    from edgebert.tasks.tasks import task_in

    task = task_in(bundle.manifest)
    if options.out is not None:
        _write(options, bundle, selection, answers_from)
        if options.json:
            print_json({"selection": selection, "out": options.out})
    elif options.json:
        # Piece by piece, since those to a long file need not fit into memory, and the first part with the first answer,
        # so that a bad text prints nothing.
        before = f'{{"selection": {msgspec.json.encode(selection).decode()}, "predictions": [\n'
        for _, answer in answers_from(0):
            print_text(before + msgspec.json.encode(task.plain(answer)).decode(), end="")
            before = ",\n"
        print_text("\n]}")
    else:
        # What is piped on is given in full.
        form = brief_line_of if sys.stdout.isatty() else line_of
        for text, answer in answers_from(0):
            print_text(form(task, text, answer), end="")


def _write(
    options: argparse.Namespace, bundle: "Bundle", selection: "Selection", answers_from: "Callable[[int], Answers]"
) -> None:
    from edgebert.serving.answer_file import opened
    from edgebert.serving.answer_origin import AnswerOrigin
    from edgebert.tasks.tasks import task_in
    from edgebert.version import __version__

    task = task_in(bundle.manifest)
    # Within a limit each text has the network that the device's speed allows just then, unless one is named.
    is_fixed = options.subnet is not None or not _is_limited(options)
    origin = AnswerOrigin(
        schema_version=AnswerOrigin.VERSION,
        edgebert_version=__version__,
        bundle_sha256=bundle.sha256,
        space=bundle.manifest.embedding.space if bundle.manifest.embedding else None,
        subnetwork=selection.subnetwork if is_fixed else None,
        way=selection.way if is_fixed else None,
        budget=selection.budget,
        options=dataclasses.asdict(task.options(options.asked)),
    )
    with opened(Path(options.out), _texts(options), task, origin) as out:
        out.append(answers_from(out.lines))
