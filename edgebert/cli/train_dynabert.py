"""Adaptive width and depth (arXiv 2004.04037): rank and rewire, then distil into all sub-networks."""

import argparse

from edgebert.cli import arguments
from edgebert.cli.training import Display, add_data, add_run, add_transfer, files_of, print_trained, run_options_of

_GRID = "shares of heads and FFN neurons (default: 0.25,0.5,0.75,1.0; depths: 0.5,0.75,1.0)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    data = add_data(parser)
    add_transfer(data)
    data.add_argument("--augment", type=arguments.count, metavar="N", help="distil on N variants of each training text")
    data.add_argument("--augment-model", metavar="CHECKPOINT", help="the masked LM that varies them (default: --model)")
    method = parser.add_argument_group("method")
    method.add_argument("--widths", type=arguments.shares, default=[0.25, 0.5, 0.75, 1.0], metavar="W,...", help=_GRID)
    method.add_argument("--depths", type=arguments.shares, default=[0.5, 0.75, 1.0], metavar="D,...", help="of layers")
    method.add_argument("--recipe", choices=["direct", "paper"], default="direct", help="ours (default) or the paper's")
    method.add_argument("--stages", type=arguments.names, metavar="NAME,...", help="of width, depth, final")
    method.add_argument("--epochs", type=arguments.count, metavar="N", help="of each stage (10; paper: 3)")
    method.add_argument("--learning-rate", type=arguments.positive, metavar="X", help="at most (3e-4; paper: 2e-5)")
    method.add_argument(
        "--subnets-per-step", type=arguments.two_or_more, metavar="N", help="that learn (4; paper: all)"
    )
    method.add_argument("--teacher-width", choices=["full", "student"], default="full", help="default: full")
    method.add_argument("--fine-tune-epochs", type=arguments.count, default=4, metavar="N", help="of a new head (4)")
    method.add_argument("--fine-tune-learning-rate", type=arguments.positive, default=5e-5, metavar="X", help="(5e-5)")
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.dynabert.method import DynaBertSettings, train
    from edgebert.elastic.stage import fine_tuning

    settings = DynaBertSettings(
        recipe=options.recipe,
        stages=tuple(options.stages) if options.stages else None,
        widths=tuple(options.widths),
        depths=tuple(options.depths),
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        sampled=options.subnets_per_step,
        teacher_width=options.teacher_width,
        fine_tune=fine_tuning(options.fine_tune_epochs, options.fine_tune_learning_rate),
        augment=options.augment or 0,
        augment_model=options.augment_model,
    )
    with Display() as display, display.resumable():
        trained = train(files_of(options), settings, run_options_of(options, display))
    print_trained(trained, options)
