"""Early-bird tickets (EarlyBERT, arXiv 2101.00063): find early which heads and neurons matter, and train only those."""

import argparse
from typing import TYPE_CHECKING

from edgebert.cli.arguments import add, count, from_options, positive, share
from edgebert.cli.output import print_table, print_text
from edgebert.cli.training import add_data, add_freeze, add_run, print_trained, train_with

if TYPE_CHECKING:
    from edgebert.elastic.early_bird.method import EarlyBirdResult, EarlyBirdSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_data(parser)
    search = parser.add_argument_group("search")
    add(search, "--prune-heads", share, "P", "of each layer (1/3)")
    add(search, "--prune-ffn", share, "P", "of all neurons (0.4)")
    add(search, "--ffn-multiple", count, "N", "that FFN widths are rounded to (64)")
    add(search, "--head-penalty", positive, "X", "L1 (1e-4)")
    add(search, "--neuron-penalty", positive, "X", "L1 (1e-4)")
    add(search, "--check-every", positive, "E", "part of an epoch from a look at the ticket to the next (0.02)")
    add(search, "--settled", positive, "D", "draw when the last 5 differ by less (0.1)")
    add(search, "--draw-at", positive, "E", "draw after this part of an epoch, settled or not")
    # A whole number, as it stands in the plans of trainings that were begun: another plan is another training.
    add(search, "--search-epochs", positive, "E", "the latest to draw at (1)", 1)
    add(search, "--ticket", str, "FILE", "a ticket.json to use: no search")
    control = "a control: random units, in each layer as many as in --ticket"
    search.add_argument("--random", action="store_true", help=control)

    training = parser.add_argument_group("training")
    add(training, "--epochs", count, "N", "of the ticket (2)")
    add(training, "--fine-tune-learning-rate", positive, "X", "of the full network, so of the search (5e-5)")
    add(training, "--learning-rate", positive, "X", "at most (twice that)")
    add_freeze(training)
    add(training, "--full-epochs", count, "N", "that costs are compared with (3)")
    add(training, "--full-journal", str, "FILE", "a journal of the full network's training, to compare times with")
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.early_bird.method import train

    result = train_with(train, settings_of(options), options)
    if result.trained.main_process and not options.json:
        _print_costs(result)
    ticket = {"drawn": result.ticket.drawn, "step": result.ticket.step}
    print_trained(result.trained, options, ticket=ticket, costs=result.costs)


def settings_of(options: argparse.Namespace) -> "EarlyBirdSettings":
    """Return how a ticket is found and trained, as the arguments say."""
    from edgebert.elastic.early_bird.method import EarlyBirdSettings, efficient_training
    from edgebert.elastic.early_bird.ticket import Pruning
    from edgebert.elastic.early_bird.ticket_search import TicketSearch

    search = from_options(
        TicketSearch,
        options,
        learning_rate=options.fine_tune_learning_rate,
        at_most=options.search_epochs,
        pruning=from_options(Pruning, options, prefix="prune_", multiple=options.ffn_multiple),
    )
    # The paper's ticket learns at twice the rate, since it has fewer epochs (see `efficient_training`).
    rate = options.learning_rate or 2 * search.learning_rate
    stage = from_options(efficient_training, options, learning_rate=rate)
    return from_options(EarlyBirdSettings, options, search=search, stage=stage)


def _print_costs(result: "EarlyBirdResult") -> None:
    costs = result.costs
    rows = [
        [name, cost.steps, f"{cost.flops / 1e12:.2f}", "" if cost.seconds is None else f"{cost.seconds:.0f}"]
        for name, cost in (("search", costs.search), ("ticket", costs.training), ("full network", costs.full))
    ]
    print_table(rows, ["training", "steps", "TFLOP", "seconds"])
    time = "" if costs.seconds_saved is None else f" and {100 * (1 - costs.seconds_saved):.1f} % of the time"
    print_text(f"\n{100 * (1 - costs.flops_saved):.1f} % of the operations{time} that the full network takes\n")
