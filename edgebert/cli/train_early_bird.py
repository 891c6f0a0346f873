"""Early-bird tickets (EarlyBERT, arXiv 2101.00063): find early which heads and neurons matter, and train only those."""

import argparse
from typing import TYPE_CHECKING

from edgebert.cli import arguments
from edgebert.cli.training import FREEZE, Display, add_data, add_run, files_of, print_trained, run_options_of

if TYPE_CHECKING:
    from edgebert.elastic.early_bird.method import EarlyBirdResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    add_data(parser)
    search = parser.add_argument_group("search")
    search.add_argument("--prune-heads", type=arguments.share, default=1 / 3, metavar="P", help="of each layer (1/3)")
    search.add_argument("--prune-ffn", type=arguments.share, default=0.4, metavar="P", help="of all neurons (0.4)")
    search.add_argument(
        "--ffn-multiple", type=arguments.count, default=64, metavar="N", help="that FFN widths are rounded to (64)"
    )
    search.add_argument("--head-penalty", type=arguments.positive, default=1e-4, metavar="X", help="L1 (1e-4)")
    search.add_argument("--neuron-penalty", type=arguments.positive, default=1e-4, metavar="X", help="L1 (1e-4)")
    search.add_argument(
        "--check-every",
        type=arguments.positive,
        default=0.02,
        metavar="E",
        help="part of an epoch from a look at the ticket to the next (0.02)",
    )
    search.add_argument(
        "--settled", type=arguments.positive, default=0.1, metavar="D", help="draw when the last 5 differ by less (0.1)"
    )
    search.add_argument(
        "--draw-at", type=arguments.positive, metavar="E", help="draw after this part of an epoch, settled or not"
    )
    search.add_argument(
        "--search-epochs", type=arguments.positive, default=1, metavar="E", help="the latest to draw at (1)"
    )
    search.add_argument("--ticket", metavar="FILE", help="a ticket.json to use: no search")
    search.add_argument(
        "--random", action="store_true", help="a control: random units, in each layer as many as in --ticket"
    )
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=arguments.count, default=2, metavar="N", help="of the ticket (2)")
    training.add_argument(
        "--fine-tune-learning-rate",
        type=arguments.positive,
        default=5e-5,
        metavar="X",
        help="of the full network, so of the search (5e-5)",
    )
    training.add_argument("--learning-rate", type=arguments.positive, metavar="X", help="at most (twice that)")
    training.add_argument("--freeze-embeddings", action="store_true", help=FREEZE)
    training.add_argument(
        "--full-epochs", type=arguments.count, default=3, metavar="N", help="that costs are compared with (3)"
    )
    training.add_argument(
        "--full-journal", metavar="FILE", help="a journal of the full network's training, to compare times with"
    )
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.early_bird.method import EarlyBirdSettings, efficient_training, train
    from edgebert.elastic.early_bird.ticket import Pruning
    from edgebert.elastic.early_bird.ticket_search import TicketSearch

    search = TicketSearch(
        learning_rate=options.fine_tune_learning_rate,
        head_penalty=options.head_penalty,
        neuron_penalty=options.neuron_penalty,
        check_every=options.check_every,
        settled=options.settled,
        draw_at=options.draw_at,
        at_most=options.search_epochs,
        pruning=Pruning(options.prune_heads, options.prune_ffn, options.ffn_multiple),
    )
    rate = options.learning_rate or 2 * options.fine_tune_learning_rate
    settings = EarlyBirdSettings(
        search=search,
        stage=efficient_training(options.epochs, rate, embeddings=not options.freeze_embeddings),
        ticket=options.ticket,
        random=options.random,
        full_epochs=options.full_epochs,
        full_journal=options.full_journal,
    )
    with Display() as display, display.resumable():
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
