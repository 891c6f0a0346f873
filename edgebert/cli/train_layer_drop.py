"""Drop layers, then fine-tune (Poor Man's BERT, arXiv 2004.03844): no distillation, and no pre-training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli.arguments import add, count, counts, from_options, positive, whole_numbers
from edgebert.cli.output import print_json, print_table, print_text
from edgebert.cli.training import add_data, add_freeze, add_run, print_trained, train_with
from edgebert.errors import TrainingError

if TYPE_CHECKING:
    from edgebert.elastic.layer_drop.exploration import ExplorationSettings, Explored
    from edgebert.elastic.layer_drop.method import LayerDropSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    # Free of torch, so that the help is answered at once.
    from edgebert.elastic.layer_drop.strategies import STRATEGIES

    add_data(parser)
    method = parser.add_argument_group("method")
    strategies = "the layers to drop (default: top, the highest ones)"
    method.add_argument("--strategy", choices=STRATEGIES, help=strategies)
    add(method, "--drop", whole_numbers, "K", "how many (default: a third; 0: none)")
    method.add_argument("--explore", action="store_true", help="train all strategies, and each of --drop 1,2,...")
    add(method, "--seeds", counts, "N,...", "with --explore: seeds to train each with")
    add(method, "--epochs", count, "N", "of fine-tuning (3)", 3)
    add(method, "--learning-rate", positive, "X", "at most (5e-5)")
    add_freeze(method)
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.layer_drop.exploration import explore
    from edgebert.elastic.layer_drop.method import train

    if options.explore:
        _print_explored(train_with(explore, exploration_of(options), options), options)
    else:
        trained = train_with(train, settings_of(options), options)
        print_trained(trained, options, layers=trained.manifest.layers)


def settings_of(options: argparse.Namespace) -> "LayerDropSettings":
    """Return what is dropped and how the rest is trained, as the arguments say."""
    from edgebert.elastic.checkpoint import read_model_config
    from edgebert.elastic.layer_drop.method import LayerDropSettings
    from edgebert.elastic.stage import fine_tuning

    drop, *more = options.drop or (read_model_config(Path(options.model)).layers // 3,)
    if more:
        raise TrainingError("several numbers of layers to drop; choose one or add --explore")
    return from_options(LayerDropSettings, options, drop=drop, fine_tune=from_options(fine_tuning, options))


def exploration_of(options: argparse.Namespace) -> "ExplorationSettings":
    """Return which trainings are compared, as the arguments say."""
    from edgebert.elastic.checkpoint import read_model_config
    from edgebert.elastic.layer_drop.exploration import ExplorationSettings
    from edgebert.elastic.stage import fine_tuning

    drops = options.drop or tuple(range(1, read_model_config(Path(options.model)).layers // 2 + 1))
    stage = from_options(fine_tuning, options)
    return ExplorationSettings(drops=drops, seeds=options.seeds or (options.seed,), fine_tune=stage)


def _print_explored(explored: "Explored", options: argparse.Namespace) -> None:
    """Print the scores of an exploration: strategies down and numbers of dropped layers across."""
    import statistics

    if options.json:
        print_json(explored)
        return
    scores: dict[tuple[str, int], list[float]] = {}
    for one in explored.trainings:
        # With nothing dropped all strategies are the same: the full model, which was trained once for each seed.
        scores.setdefault((one.strategy if one.dropped else "none", one.dropped), []).append(one.score)
    drops = sorted({drop for _, drop in scores})
    cells = {place: f"{statistics.mean(found):.4f} ({len(found)})" for place, found in scores.items()}
    strategies = dict.fromkeys(strategy for strategy, _ in scores)
    rows = [[strategy, *(cells.get((strategy, drop), "") for drop in drops)] for strategy in strategies]
    print_text(f"{options.out}: {explored.metric} on {Path(options.dev).name}, mean (trainings), by dropped layers\n")
    print_table(rows, ["strategy", *map(str, drops)])
