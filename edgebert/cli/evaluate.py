"""Measure the quality of sub-networks on labelled data."""

import argparse

from edgebert.cli import arguments
from edgebert.cli.output import print_json, progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    data = "a .tsv, .csv, .jsonl or .json file with the columns text, label and, for pairs of texts, pair"
    parser.add_argument("data", metavar="DATA", help=data)
    arguments.add_bundle_option(parser)
    arguments.add(parser, "--subnets", arguments.names, "ID,...", "only these sub-networks")
    arguments.add_way(parser)


def run(options: argparse.Namespace) -> None:
    """Evaluate and print the table."""
    from edgebert.cli.tables import print_evaluation
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.evaluation import evaluate

    bundle = Bundle.load(options.bundle)
    with progress_bar() as show:
        result = arguments.from_options(evaluate, options, bundle=bundle, on_progress=show)
    print_json(result) if options.json else print_evaluation(result, bundle)
