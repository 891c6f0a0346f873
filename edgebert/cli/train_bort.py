"""Find the best architecture for a device (Bort, arXiv 2010.10499), then distil a fine-tuned model into it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments
from edgebert.cli.training import Display, add_data, add_run, add_transfer, files_of, print_trained, run_options_of

if TYPE_CHECKING:
    from edgebert.elastic.bort.architecture import Architecture, Space
    from edgebert.elastic.bort.architecture_search import Measurements, SearchResult
    from edgebert.elastic.bort.method import MaskedTeacher, MeasureLatencies, SearchSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_transfer(add_data(parser))
    _add_search(parser.add_argument_group("search, over the paper's 300 architectures where no numbers are given"))
    _add_measuring(parser.add_argument_group("latency on the device"))
    _add_surrogates(parser.add_argument_group("error from surrogates, which are trained for a few steps"))
    _add_training(parser.add_argument_group("training of the winner"))
    add_run(parser)


def _add_search(search: argparse._ArgumentGroup) -> None:
    search.add_argument("--architecture", metavar="NAME", help="no search: train this one, such as d4-a8-h1024-i768")
    search.add_argument(
        "--search-only", action="store_true", help="print the Pareto front and stop before the training"
    )
    search.add_argument("--depths", type=arguments.counts, metavar="N,...", help="layers (2,4,6,8,10,12)")
    search.add_argument(
        "--heads", type=arguments.counts, metavar="N,...", help="that divide the hidden size (4,8,12,16)"
    )
    search.add_argument("--hidden", type=arguments.counts, metavar="N,...", help="hidden sizes (512,768,1024)")
    search.add_argument("--ffn", type=arguments.counts, metavar="N,...", help="FFN neurons (256,512,768,1024,3072)")
    search.add_argument(
        "--latency-ms", type=arguments.positive, metavar="X", help="take the lowest error within it, not the highest W"
    )


def _add_measuring(measuring: argparse._ArgumentGroup) -> None:
    measuring.add_argument("--length", type=arguments.count, metavar="N", help="tokens in a request (--max-length)")
    measuring.add_argument(
        "--precision", choices=["int8", "int8-weights", "fp32"], default="int8", help="of the exported graphs (int8)"
    )
    measuring.add_argument("--threads", type=arguments.count, metavar="N", help="default: all cores")
    measuring.add_argument("--provider", metavar="NAME", help="an ONNX Runtime execution provider (the CPU's)")
    measuring.add_argument("--latencies", metavar="FILE", help="what is measured, or was (WORK/latencies.json)")
    measuring.add_argument("--host", metavar="USER@DEVICE", help="measure there, over ssh")
    measuring.add_argument("--host-command", default="edgebert", metavar="COMMAND", help="what runs edgebert there")
    measuring.add_argument(
        "--rounds", type=arguments.count, default=3, metavar="N", help="of measuring, of which the fastest counts (3)"
    )
    measuring.add_argument(
        "--measured", type=arguments.two_or_more, default=48, metavar="N", help="architectures to fit a model to (48)"
    )
    measuring.add_argument(
        "--held-out", type=_whole_number, default=12, metavar="N", help="and more to find out how far it is off (12)"
    )


def _add_surrogates(surrogates: argparse._ArgumentGroup) -> None:
    surrogates.add_argument(
        "--interval",
        type=arguments.count,
        default=10,
        metavar="N",
        help="train one candidate in N, in the order of latency; the errors of the others are estimated (10)",
    )
    surrogates.add_argument(
        "--epsilon",
        type=_below_one,
        default=0.05,
        metavar="X",
        help="then train those that may beat the best by a factor above 1 / (1 - X), until none is left (0.05)",
    )
    surrogates.add_argument(
        "--most-surrogates", type=arguments.count, default=60, metavar="N", help="but no more than N in all (60)"
    )
    surrogates.add_argument("--surrogate-steps", type=arguments.count, default=48, metavar="N", help="of each (48)")
    surrogates.add_argument("--surrogate-batch-size", type=arguments.count, default=8, metavar="N", help="(8)")
    surrogates.add_argument(
        "--surrogate-length", type=arguments.two_or_more, default=24, metavar="N", help="tokens of a text (24)"
    )
    surrogates.add_argument(
        "--surrogate-learning-rate", type=arguments.positive, default=2e-4, metavar="X", help="(2e-4)"
    )


def _add_training(training: argparse._ArgumentGroup) -> None:
    training.add_argument("--epochs", type=arguments.count, default=10, metavar="N", help="of distillation (10)")
    training.add_argument("--learning-rate", type=arguments.positive, default=3e-4, metavar="X", help="at most (3e-4)")
    training.add_argument(
        "--label-weight", type=_not_negative, default=0.0, metavar="X", help="of the true labels beside the teacher (0)"
    )
    training.add_argument(
        "--mlm-teacher", metavar="CHECKPOINT", help="a masked LM with --model's tokenizer to distil from first"
    )
    training.add_argument("--mlm-epochs", type=arguments.count, default=3, metavar="N", help="of that (3)")
    training.add_argument("--from-scratch", action="store_true", help="do not begin with the teacher's embeddings")
    training.add_argument("--fine-tune-epochs", type=arguments.count, default=4, metavar="N", help="of a new head (4)")
    training.add_argument(
        "--fine-tune-learning-rate", type=arguments.positive, default=5e-5, metavar="X", help="(5e-5)"
    )


def _whole_number(text: str) -> int:
    return arguments.whole_numbers(text)[0]


def _not_negative(text: str) -> float:
    return 0.0 if float(text) == 0 else arguments.positive(text)


def _below_one(text: str) -> float:
    value = arguments.share(text)
    if value == 1:
        raise argparse.ArgumentTypeError("expected a number below 1, found 1")
    return value


def run(options: argparse.Namespace) -> None:
    """Search and train, or go on with what was interrupted, and print what came out."""
    from edgebert.elastic.bort import method as bort
    from edgebert.elastic.bort.architecture import Architecture
    from edgebert.elastic.stage import fine_tuning
    from edgebert.errors import TrainingError

    architecture = Architecture.parse(options.architecture) if options.architecture else None
    if architecture and options.search_only:
        raise TrainingError("--architecture names what is trained, so there is no search; leave --search-only out")
    settings = bort.BortSettings(
        architecture=architecture,
        search=None if architecture else _search_settings(options),
        search_only=options.search_only,
        distil=bort.distillation(options.epochs, options.learning_rate, label_weight=options.label_weight),
        fine_tune=fine_tuning(options.fine_tune_epochs, options.fine_tune_learning_rate),
        masked=_masked_teacher(options),
        from_scratch=options.from_scratch,
    )
    with Display() as display, display.resumable():
        measure = _measuring(options, display)
        found, trained = bort.train(files_of(options), settings, run_options_of(options, display), measure)
    if found is not None and not options.json:
        print_found(found)
    if trained is not None:
        chosen = found.chosen if found else str(architecture)
        facts = {"search": str(trained.work / bort.SEARCH)} if found else {}
        print_trained(trained, options, architecture=chosen, **facts)
    elif found is not None and options.json:
        from edgebert.cli.output import print_json

        print_json(found)


def _masked_teacher(options: argparse.Namespace) -> "MaskedTeacher | None":
    from edgebert.elastic.bort.method import MaskedTeacher, masked_lm_distillation

    if options.mlm_teacher is None:
        return None
    return MaskedTeacher(options.mlm_teacher, masked_lm_distillation(options.mlm_epochs))


def _search_settings(options: argparse.Namespace) -> "SearchSettings":
    from edgebert.elastic.bort.architecture_search import Approximation
    from edgebert.elastic.bort.extraction import Goal
    from edgebert.elastic.bort.method import SearchSettings
    from edgebert.elastic.bort.surrogate import SurrogateSettings

    return SearchSettings(
        conditions=f"{_conditions(options)} on {options.host or 'this machine'}",
        space=_space(options),
        goal=Goal(options.latency_ms),
        approximation=Approximation(
            measured=options.measured,
            held_out=options.held_out,
            interval=options.interval,
            epsilon=options.epsilon,
            most=options.most_surrogates,
        ),
        surrogate=SurrogateSettings(
            steps=options.surrogate_steps,
            batch_size=options.surrogate_batch_size,
            length=options.surrogate_length,
            learning_rate=options.surrogate_learning_rate,
        ),
    )


def _space(options: argparse.Namespace) -> "Space":
    from edgebert.elastic.bort.architecture import Space

    names = ("depths", "heads", "hidden", "ffn")
    given = {name: tuple(getattr(options, name)) for name in names if getattr(options, name)}
    return Space(**given)


def _conditions(options: argparse.Namespace) -> str:
    way = f"{options.provider or 'CPU'}, {options.threads or 'all'} threads"
    return f"{options.precision}, {options.length or options.max_length or 128} tokens, {way}"


def _measuring(options: argparse.Namespace, display: Display) -> "MeasureLatencies":
    """Return what measures architectures through the exporter and the profiler."""
    from edgebert.elastic.bort.architecture_search import Measurements
    from edgebert.elastic.bort.latencies import Conditions, Host, measure_latencies

    conditions = Conditions(
        length=options.length or options.max_length or 128,
        precision=options.precision,
        threads=options.threads,
        provider=options.provider,
        rounds=options.rounds,
    )
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

    rows = [row for row in found.rows if row.on_front or row.id in (found.chosen, found.maximum)]
    print(f"{found.measured_on}\nthe Pareto front of latency, parameters and error, with the choice (*) and T:\n")
    print_table(
        [
            [
                row.id,
                f"{row.candidate.parameters / 1e6:.1f}",
                f"{row.candidate.ms:.2f}{'' if row.candidate.measured else '?'}",
                f"{row.candidate.error:.4f}{'' if row.candidate.trained else '?'}",
                f"{row.w:.4f}",
                "*" if row.id == found.chosen else "T" if row.id == found.maximum else "",
            ]
            for row in rows
        ],
        ["architecture", "M parameters", "ms", "error", "W", ""],
    )
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
