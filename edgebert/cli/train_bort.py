"""Find the best architecture for a device (Bort, arXiv 2010.10499), then distil a fine-tuned model into it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments
from edgebert.cli.arguments import add, count, counts, from_options, positive
from edgebert.cli.output import print_json, print_table, print_text
from edgebert.cli.training import Display, add_data, add_run, files_of, print_trained, run_options_of
from edgebert.errors import TrainingError

if TYPE_CHECKING:
    from edgebert.elastic.bort.architecture import Architecture
    from edgebert.elastic.bort.architecture_search import Measurements, SearchResult, SearchSettings
    from edgebert.elastic.bort.method import BortSettings, MeasureLatencies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_data(parser, distils=True)
    group = parser.add_argument_group("search, over the paper's 300 architectures where no numbers are given")
    add(group, "--architecture", str, "NAME", "no search: train this one, such as d4-a8-h1024-i768")
    group.add_argument("--search-only", action="store_true", help="print the Pareto front and stop before the training")
    add(group, "--depths", counts, "N,...", "layers (2,4,6,8,10,12)")
    add(group, "--heads", counts, "N,...", "that divide the hidden size (4,8,12,16)")
    add(group, "--hidden", counts, "N,...", "hidden sizes (512,768,1024)")
    add(group, "--ffn", counts, "N,...", "FFN neurons (256,512,768,1024,3072)")
    add(group, "--latency-ms", positive, "X", "take the lowest error within it, not the highest W")

    group = parser.add_argument_group("latency on the device")
    add(group, "--length", count, "N", "tokens in a request (--max-length)")
    precisions = ["int8", "int8-weights", "fp32"]
    group.add_argument("--precision", choices=precisions, default="int8", help="of the exported graphs (int8)")
    add(group, "--threads", count, "N", "default: all cores")
    add(group, "--provider", str, "NAME", "an ONNX Runtime execution provider (the CPU's)")
    add(group, "--latencies", str, "FILE", "what is measured, or was (WORK/latencies.json)")
    add(group, "--host", str, "USER@DEVICE", "measure there, over ssh")
    add(group, "--host-command", str, "COMMAND", "what runs edgebert there", "edgebert")
    # What else runs on a machine only ever adds to a time, hence the fastest of several rounds.
    add(group, "--rounds", count, "N", "of measuring, of which the fastest counts (3)")
    add(group, "--measured", arguments.two_or_more, "N", "architectures to fit a model to (48)")
    add(group, "--held-out", arguments.whole_number, "N", "and more to find out how far it is off (12)")

    group = parser.add_argument_group("error from surrogates, which are trained for a few steps")
    # The errors after 48 steps favour shallow networks, since deep ones learn later (docs/methods.md).
    interval = "train one candidate in N, in the order of latency; the errors of the others are estimated (10)"
    add(group, "--interval", count, "N", interval)
    epsilon = "then train those that may beat the best by a factor above 1 / (1 - X), until none is left (0.05)"
    add(group, "--epsilon", arguments.below_one, "X", epsilon)
    add(group, "--most-surrogates", count, "N", "but no more than N in all (60)")
    add(group, "--surrogate-steps", count, "N", "of each (48)")
    add(group, "--surrogate-batch-size", count, "N", "(8)")
    add(group, "--surrogate-length", arguments.two_or_more, "N", "tokens of a text (24)")
    add(group, "--surrogate-learning-rate", positive, "X", "(2e-4)")

    group = parser.add_argument_group("training of the winner")
    add(group, "--epochs", count, "N", "of distillation (10)")
    add(group, "--learning-rate", positive, "X", "at most (3e-4)")
    add(group, "--label-weight", arguments.not_negative, "X", "of the true labels beside the teacher (0)")
    add(group, "--mlm-teacher", str, "CHECKPOINT", "a masked LM with --model's tokenizer to distil from first")
    add(group, "--mlm-epochs", count, "N", "of that (3)")
    group.add_argument("--from-scratch", action="store_true", help="do not begin with the teacher's embeddings")
    add(group, "--fine-tune-epochs", count, "N", "of a new head (4)")
    add(group, "--fine-tune-learning-rate", positive, "X", "(5e-5)")
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Search and train, or go on with what was interrupted, and print what came out."""
    from edgebert.elastic.bort import method as bort

    settings = settings_of(options)
    with Display() as display:
        measure = _measuring(options, display)
        found, trained = bort.train(files_of(options), settings, run_options_of(options, display), measure)
    if found is not None and not options.json:
        print_found(found)
    elif found is not None and trained is None:
        print_json(found)
    if trained is not None:
        chosen = found.chosen if found else str(settings.architecture)
        facts = {"search": str(trained.work / bort.SEARCH)} if found else {}
        print_trained(trained, options, architecture=chosen, **facts)


def settings_of(options: argparse.Namespace) -> "BortSettings":
    """Return what is searched for and how it is trained, as the arguments say."""
    from edgebert.elastic.bort import method as bort
    from edgebert.elastic.bort.architecture import Architecture
    from edgebert.elastic.stage import fine_tuning

    architecture = Architecture.parse(options.architecture) if options.architecture else None
    if architecture and options.search_only:
        raise TrainingError("--architecture names what is trained, so there is no search; leave --search-only out")
    masked = None
    if options.mlm_teacher is not None:
        stage = from_options(bort.masked_lm_distillation, options, prefix="mlm_")
        masked = bort.MaskedTeacher(options.mlm_teacher, stage)
    return from_options(
        bort.BortSettings,
        options,
        architecture=architecture or _search_settings(options),
        distil=from_options(bort.distillation, options),
        fine_tune=from_options(fine_tuning, options, prefix="fine_tune_"),
        masked=masked,
    )


def _search_settings(options: argparse.Namespace) -> "SearchSettings":
    from edgebert.elastic.bort.architecture import Space
    from edgebert.elastic.bort.architecture_search import Approximation, SearchSettings, SurrogateSettings
    from edgebert.elastic.bort.extraction import Goal

    # They stand in the plan of the training: the same work folder cannot go on under other conditions.
    way = f"{options.provider or 'CPU'}, {options.threads or 'all'} threads"
    return SearchSettings(
        conditions=f"{options.precision}, {_length(options)} tokens, {way} on {options.host or 'this machine'}",
        space=from_options(Space, options),
        goal=from_options(Goal, options),
        approximation=from_options(Approximation, options, most=options.most_surrogates),
        surrogate=from_options(SurrogateSettings, options, prefix="surrogate_"),
    )


def _length(options: argparse.Namespace) -> int:
    """Return how many tokens the requests have that are measured."""
    return options.length or options.max_length or 128


def _measuring(options: argparse.Namespace, display: Display) -> "MeasureLatencies":
    """Return what measures architectures through the exporter and the profiler."""
    from edgebert.elastic.bort.architecture_search import Measurements
    from edgebert.elastic.bort.latencies import Conditions, Host, measure_latencies

    conditions = from_options(Conditions, options, length=_length(options))
    # An empty name of a host is refused there: a variable that is not set must not measure this machine instead.
    host = Host(options.host, options.host_command) if options.host is not None else None

    def measured(architectures: "Sequence[Architecture]", work: Path) -> "Measurements":
        path = Path(options.latencies) if options.latencies else work / "latencies.json"
        display.say(f"measuring up to {len(architectures)} architectures; {path} keeps what is done")
        found = measure_latencies(architectures, conditions, path, host=host, on_progress=display.progress)
        return Measurements(found.by_architecture, str(found))

    return measured


def print_found(found: "SearchResult") -> None:
    """Print the Pareto front of a search, its choice, and how far to trust it."""
    # Of hundreds of candidates the front is a dozen; T, the largest, is what W is measured against.
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
    print_text(f"{found.measured_on}\nthe Pareto front of latency, parameters and error, with the choice (*) and T:\n")
    print_table(rows, ["architecture", "M parameters", "ms", "error", "W", ""])
    trained = sum(row.candidate.trained for row in found.rows)
    measured = sum(row.candidate.measured for row in found.rows)
    print_text(f"\n? is an estimate: of {len(found.rows)} architectures {measured} were measured, {trained} trained")
    validated = found.cross_validated
    print_text(f"latencies are off by {validated.median:.1%}, p95 {validated.p95:.1%}, by cross-validation")
    if found.held_out:
        print_text(
            f"and by {found.held_out.median:.1%}, p95 {found.held_out.p95:.1%}, on {found.held_out.count} held out"
        )
    print_text(f"errors are off by {found.error_rms:.1%} (root mean square); an error is the {found.surrogate}")
    if not found.settled:
        print_text("there were candidates left that may be better: raise --most-surrogates or --epsilon")
