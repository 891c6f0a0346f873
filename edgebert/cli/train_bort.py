"""Find the best architecture for a device (Bort, arXiv 2010.10499), then distil a fine-tuned model into it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli.arguments import (
    add,
    below_one,
    count,
    counts,
    not_negative,
    picked,
    positive,
    two_or_more,
    whole_number,
)
from edgebert.cli.training import Display, add_data, add_run, files_of, print_trained, run_options_of

if TYPE_CHECKING:
    from edgebert.elastic.bort.architecture import Architecture
    from edgebert.elastic.bort.architecture_search import Measurements, SearchResult, SearchSettings
    from edgebert.elastic.bort.method import MeasureLatencies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_data(parser, distils=True)
    _add_search(parser.add_argument_group("search, over the paper's 300 architectures where no numbers are given"))
    _add_measuring(parser.add_argument_group("latency on the device"))
    _add_surrogates(parser.add_argument_group("error from surrogates, which are trained for a few steps"))
    _add_training(parser.add_argument_group("training of the winner"))
    add_run(parser)


def _add_search(group: argparse._ArgumentGroup) -> None:
    add(group, "--architecture", str, "NAME", "no search: train this one, such as d4-a8-h1024-i768")
    group.add_argument("--search-only", action="store_true", help="print the Pareto front and stop before the training")
    add(group, "--depths", counts, "N,...", "layers (2,4,6,8,10,12)")
    add(group, "--heads", counts, "N,...", "that divide the hidden size (4,8,12,16)")
    add(group, "--hidden", counts, "N,...", "hidden sizes (512,768,1024)")
    add(group, "--ffn", counts, "N,...", "FFN neurons (256,512,768,1024,3072)")
    add(group, "--latency-ms", positive, "X", "take the lowest error within it, not the highest W")


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    add(group, "--length", count, "N", "tokens in a request (--max-length)")
    precisions = ["int8", "int8-weights", "fp32"]
    group.add_argument("--precision", choices=precisions, default="int8", help="of the exported graphs (int8)")
    add(group, "--threads", count, "N", "default: all cores")
    add(group, "--provider", str, "NAME", "an ONNX Runtime execution provider (the CPU's)")
    add(group, "--latencies", str, "FILE", "what is measured, or was (WORK/latencies.json)")
    add(group, "--host", str, "USER@DEVICE", "measure there, over ssh")
    add(group, "--host-command", str, "COMMAND", "what runs edgebert there", "edgebert")
    add(group, "--rounds", count, "N", "of measuring, of which the fastest counts (3)", 3)
    add(group, "--measured", two_or_more, "N", "architectures to fit a model to (48)", 48)
    add(group, "--held-out", whole_number, "N", "and more to find out how far it is off (12)", 12)


def _add_surrogates(group: argparse._ArgumentGroup) -> None:
    interval = "train one candidate in N, in the order of latency; the errors of the others are estimated (10)"
    add(group, "--interval", count, "N", interval, 10)
    epsilon = "then train those that may beat the best by a factor above 1 / (1 - X), until none is left (0.05)"
    add(group, "--epsilon", below_one, "X", epsilon, 0.05)
    add(group, "--most-surrogates", count, "N", "but no more than N in all (60)", 60)
    add(group, "--surrogate-steps", count, "N", "of each (48)", 48)
    add(group, "--surrogate-batch-size", count, "N", "(8)", 8)
    add(group, "--surrogate-length", two_or_more, "N", "tokens of a text (24)", 24)
    add(group, "--surrogate-learning-rate", positive, "X", "(2e-4)", 2e-4)


def _add_training(group: argparse._ArgumentGroup) -> None:
    add(group, "--epochs", count, "N", "of distillation (10)", 10)
    add(group, "--learning-rate", positive, "X", "at most (3e-4)", 3e-4)
    add(group, "--label-weight", not_negative, "X", "of the true labels beside the teacher (0)", 0.0)
    add(group, "--mlm-teacher", str, "CHECKPOINT", "a masked LM with --model's tokenizer to distil from first")
    add(group, "--mlm-epochs", count, "N", "of that (3)", 3)
    group.add_argument("--from-scratch", action="store_true", help="do not begin with the teacher's embeddings")
    add(group, "--fine-tune-epochs", count, "N", "of a new head (4)", 4)
    add(group, "--fine-tune-learning-rate", positive, "X", "(5e-5)", 5e-5)


def run(options: argparse.Namespace) -> None:
    """Search and train, or go on with what was interrupted, and print what came out."""
    from edgebert.cli.output import print_json
    from edgebert.elastic.bort import method as bort
    from edgebert.elastic.bort.architecture import Architecture
    from edgebert.elastic.stage import fine_tuning
    from edgebert.errors import TrainingError

    architecture = Architecture.parse(options.architecture) if options.architecture else None
    if architecture and options.search_only:
        raise TrainingError("--architecture names what is trained, so there is no search; leave --search-only out")
    teacher, epochs = options.mlm_teacher, options.mlm_epochs
    settings = bort.BortSettings(
        architecture=architecture or _search_settings(options),
        distil=bort.distillation(options.epochs, options.learning_rate, label_weight=options.label_weight),
        fine_tune=fine_tuning(options.fine_tune_epochs, options.fine_tune_learning_rate),
        masked=None if teacher is None else bort.MaskedTeacher(teacher, bort.masked_lm_distillation(epochs)),
        **picked(options, "search_only", "from_scratch"),
    )
    with Display() as display:
        measure = _measuring(options, display)
        found, trained = bort.train(files_of(options), settings, run_options_of(options, display), measure)
    if found is not None and not options.json:
        print_found(found)
    elif found is not None and trained is None:
        print_json(found)
    if trained is not None:
        chosen = found.chosen if found else str(architecture)
        facts = {"search": str(trained.work / bort.SEARCH)} if found else {}
        print_trained(trained, options, architecture=chosen, **facts)


def _search_settings(options: argparse.Namespace) -> "SearchSettings":
    from edgebert.elastic.bort.architecture import Space
    from edgebert.elastic.bort.architecture_search import Approximation, SearchSettings, SurrogateSettings
    from edgebert.elastic.bort.extraction import Goal

    way = f"{options.provider or 'CPU'}, {options.threads or 'all'} threads"
    conditions = f"{options.precision}, {_length(options)} tokens, {way} on {options.host or 'this machine'}"
    sizes = {name: given for name, given in picked(options, "depths", "heads", "hidden", "ffn").items() if given}
    thoroughness = picked(options, "measured", "held_out", "interval", "epsilon")
    surrogate = SurrogateSettings(
        steps=options.surrogate_steps,
        batch_size=options.surrogate_batch_size,
        length=options.surrogate_length,
        learning_rate=options.surrogate_learning_rate,
    )
    return SearchSettings(
        conditions=conditions,
        space=Space(**sizes),
        goal=Goal(options.latency_ms),
        approximation=Approximation(**thoroughness, most=options.most_surrogates),
        surrogate=surrogate,
    )


def _length(options: argparse.Namespace) -> int:
    """Return how many tokens the requests have that are measured."""
    return options.length or options.max_length or 128


def _measuring(options: argparse.Namespace, display: Display) -> "MeasureLatencies":
    """Return what measures architectures through the exporter and the profiler."""
    from edgebert.elastic.bort.architecture_search import Measurements
    from edgebert.elastic.bort.latencies import Conditions, Host, measure_latencies

    way = picked(options, "precision", "threads", "provider", "rounds")
    conditions = Conditions(length=_length(options), **way)
    host = Host(options.host, options.host_command) if options.host is not None else None

    def measured(architectures: "Sequence[Architecture]", work: Path) -> "Measurements":
        path = Path(options.latencies) if options.latencies else work / "latencies.json"
        display.say(f"measuring up to {len(architectures)} architectures; {path} keeps what is done")
        found = measure_latencies(architectures, conditions, path, host=host, on_progress=display.progress)
        return Measurements(found.by_architecture, str(found))

    return measured


def print_found(found: "SearchResult") -> None:
    """Print the Pareto front of a search, its choice, and how far to trust it."""
    from edgebert.cli.output import print_table

    rows = [
        [
            row.id,
            f"{row.candidate.parameters / 1e6:.1f}",
            f"{row.candidate.ms:.2f}{'' if row.candidate.measured else '?'}",
            f"{row.candidate.error:.4f}{'' if row.candidate.trained else '?'}",
            f"{row.w:.4f}",
            "*" if row.id == found.chosen else "T" if row.id == found.maximum else "",
        ]
        for row in found.rows
        if row.on_front or row.id in (found.chosen, found.maximum)
    ]
    print(f"{found.measured_on}\nthe Pareto front of latency, parameters and error, with the choice (*) and T:\n")
    print_table(rows, ["architecture", "M parameters", "ms", "error", "W", ""])
    trained = sum(row.candidate.trained for row in found.rows)
    measured = sum(row.candidate.measured for row in found.rows)
    print(f"\n? is an estimate: of {len(found.rows)} architectures {measured} were measured, {trained} trained")
    validated = found.cross_validated
    print(f"latencies are off by {validated.median:.1%}, p95 {validated.p95:.1%}, by cross-validation")
    if found.held_out:
        print(f"and by {found.held_out.median:.1%}, p95 {found.held_out.p95:.1%}, on {found.held_out.count} held out")
    print(f"errors are off by {found.error_rms:.1%} (root mean square); an error is the {found.surrogate}")
    if not found.settled:
        print("there were candidates left that may be better: raise --most-surrogates or --epsilon")
