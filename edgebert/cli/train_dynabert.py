"""Adaptive width and depth (arXiv 2004.04037): rank and rewire, then distil into all sub-networks."""

import argparse
from typing import TYPE_CHECKING

from edgebert.cli.arguments import add, count, from_options, names, positive, shares, two_or_more
from edgebert.cli.training import add_data, add_run, print_trained, train_with

if TYPE_CHECKING:
    from edgebert.elastic.dynabert.method import DynaBertSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    data = add_data(parser, distils=True, embeds=True)
    add(data, "--augment", count, "N", "distil on N variants of each training text")
    add(data, "--augment-model", str, "CHECKPOINT", "the masked LM that varies them (default: --model)")
    method = parser.add_argument_group("method")
    widths = "shares of heads and FFN neurons (default: 0.25,0.5,0.75,1.0; depths: 0.5,0.75,1.0)"
    add(method, "--widths", shares, "W,...", widths)
    add(method, "--depths", shares, "D,...", "of layers")
    # On average over the sub-networks ours has 88.6 % and the paper's 87.9 %, in about the same time (docs/log.md).
    method.add_argument("--recipe", choices=["direct", "paper"], help="ours (default) or the paper's")
    add(method, "--stages", names, "NAME,...", "of width, depth, final")
    # From the eighth epoch on the sum of accuracies is flat; at a rate of 6e-4 the full network suffers (docs/log.md).
    add(method, "--epochs", count, "N", "of each stage (10; paper: 3)")
    add(method, "--learning-rate", positive, "X", "at most (3e-4; paper: 2e-5)")
    add(method, "--subnets-per-step", two_or_more, "N", "that learn (4; paper: all)")
    method.add_argument("--teacher-width", choices=["full", "student"], help="default: full")
    add(method, "--fine-tune-epochs", count, "N", "of a new head (4)")
    add(method, "--fine-tune-learning-rate", positive, "X", "(5e-5)")
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.dynabert.method import train

    print_trained(train_with(train, settings_of(options), options), options)


def settings_of(options: argparse.Namespace) -> "DynaBertSettings":
    """Return what is trained and how, as the arguments say."""
    from edgebert.elastic.dynabert.method import DynaBertSettings
    from edgebert.elastic.stage import fine_tuning

    fine_tune = from_options(fine_tuning, options, prefix="fine_tune_")
    return from_options(DynaBertSettings, options, sampled=options.subnets_per_step, fine_tune=fine_tune)
