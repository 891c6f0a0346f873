"""Early-bird tickets (EarlyBERT, arXiv 2101.00063): find early which heads and neurons matter, and train only those."""

import argparse
from typing import TYPE_CHECKING

from edgebert.cli.arguments import add, count, picked, positive, share
from edgebert.cli.training import FREEZE, Display, add_data, add_run, files_of, print_trained, run_options_of

if TYPE_CHECKING:
    from edgebert.elastic.early_bird.method import EarlyBirdResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_data(parser)
    search = parser.add_argument_group("search")
    add(search, "--prune-heads", share, "P", "of each layer (1/3)", 1 / 3)
    add(search, "--prune-ffn", share, "P", "of all neurons (0.4)", 0.4)
    add(search, "--ffn-multiple", count, "N", "that FFN widths are rounded to (64)", 64)
    add(search, "--head-penalty", positive, "X", "L1 (1e-4)", 1e-4)
    add(search, "--neuron-penalty", positive, "X", "L1 (1e-4)", 1e-4)
    add(search, "--check-every", positive, "E", "part of an epoch from a look at the ticket to the next (0.02)", 0.02)
    add(search, "--settled", positive, "D", "draw when the last 5 differ by less (0.1)", 0.1)
    add(search, "--draw-at", positive, "E", "draw after this part of an epoch, settled or not")
    add(search, "--search-epochs", positive, "E", "the latest to draw at (1)", 1)
    add(search, "--ticket", str, "FILE", "a ticket.json to use: no search")
    control = "a control: random units, in each layer as many as in --ticket"
    search.add_argument("--random", action="store_true", help=control)

    training = parser.add_argument_group("training")
    add(training, "--epochs", count, "N", "of the ticket (2)", 2)
    rate = "of the full network, so of the search (5e-5)"
    add(training, "--fine-tune-learning-rate", positive, "X", rate, 5e-5)
    add(training, "--learning-rate", positive, "X", "at most (twice that)")
    training.add_argument("--freeze-embeddings", action="store_true", help=FREEZE)
    add(training, "--full-epochs", count, "N", "that costs are compared with (3)", 3)
    add(training, "--full-journal", str, "FILE", "a journal of the full network's training, to compare times with")
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.early_bird.method import EarlyBirdSettings, efficient_training, train
    from edgebert.elastic.early_bird.ticket import Pruning
    from edgebert.elastic.early_bird.ticket_search import TicketSearch

    search = TicketSearch(
        learning_rate=options.fine_tune_learning_rate,
        at_most=options.search_epochs,
        pruning=Pruning(options.prune_heads, options.prune_ffn, options.ffn_multiple),
        **picked(options, "head_penalty", "neuron_penalty", "check_every", "settled", "draw_at"),
    )
    rate = options.learning_rate or 2 * options.fine_tune_learning_rate
    stage = efficient_training(options.epochs, rate, embeddings=not options.freeze_embeddings)
    same = picked(options, "ticket", "random", "full_epochs", "full_journal")
    settings = EarlyBirdSettings(search=search, stage=stage, **same)
    with Display() as display:
        result = train(files_of(options), settings, run_options_of(options, display))
    _print(result, options)


def _print(result: "EarlyBirdResult", options: argparse.Namespace) -> None:
    from edgebert.cli.output import print_table

    trained, costs, ticket = result.trained, result.costs, result.ticket
    if not trained.main_process:
        return
    if not options.json:
        rows = [
            [name, cost.steps, f"{cost.flops / 1e12:.2f}", "" if cost.seconds is None else f"{cost.seconds:.0f}"]
            for name, cost in (("search", costs.search), ("ticket", costs.training), ("full network", costs.full))
        ]
        print_table(rows, ["training", "steps", "TFLOP", "seconds"])
        time = "" if costs.seconds_saved is None else f" and {100 * (1 - costs.seconds_saved):.1f} % of the time"
        print(f"\n{100 * (1 - costs.flops_saved):.1f} % of the operations{time} that the full network takes\n")
    print_trained(trained, options, ticket={"drawn": ticket.drawn, "step": ticket.step}, costs=costs)
