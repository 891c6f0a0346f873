"""Drop layers, then fine-tune (Poor Man's BERT, arXiv 2004.03844): no distillation, and no pre-training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli.arguments import add, count, counts, positive, whole_numbers
from edgebert.cli.training import FREEZE, Display, add_data, add_run, files_of, print_trained, run_options_of

if TYPE_CHECKING:
    from edgebert.elastic.layer_drop.exploration import Explored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method's arguments."""
    from edgebert.elastic.layer_drop.strategies import STRATEGIES

    add_data(parser)
    method = parser.add_argument_group("method")
    strategies = "the layers to drop (default: top, the highest ones)"
    method.add_argument("--strategy", choices=STRATEGIES, default="top", help=strategies)
    add(method, "--drop", whole_numbers, "K", "how many (default: a third; 0: none)")
    method.add_argument("--explore", action="store_true", help="train all strategies, and each of --drop 1,2,...")
    add(method, "--seeds", counts, "N,...", "with --explore: seeds to train each with")
    add(method, "--epochs", count, "N", "of fine-tuning (3)", 3)
    add(method, "--learning-rate", positive, "X", "at most (5e-5)", 5e-5)
    method.add_argument("--freeze-embeddings", action="store_true", help=FREEZE)
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.elastic.checkpoint import read_model_config
    from edgebert.elastic.layer_drop.exploration import ExplorationSettings, explore
    from edgebert.elastic.layer_drop.method import LayerDropSettings, train
    from edgebert.elastic.stage import fine_tuning
    from edgebert.errors import TrainingError

    files = files_of(options)
    layers = read_model_config(files.model).layers
    drops = options.drop or (tuple(range(1, layers // 2 + 1)) if options.explore else (layers // 3,))
    stage = fine_tuning(options.epochs, options.learning_rate, embeddings=not options.freeze_embeddings)
    if len(drops) > 1 and not options.explore:
        raise TrainingError("several numbers of layers to drop; choose one or add --explore")

    with Display() as display:
        run_options = run_options_of(options, display)
        if options.explore:
            settings = ExplorationSettings(drops=drops, seeds=options.seeds or (options.seed,), fine_tune=stage)
            explored = explore(files, settings, run_options)
        else:
            trained = train(files, LayerDropSettings(options.strategy, drops[0], stage), run_options)

    if options.explore:
        _print_explored(explored, options)
    else:
        print_trained(trained, options, layers=trained.manifest.layers)


def _print_explored(explored: "Explored", options: argparse.Namespace) -> None:
    """Print the scores of an exploration: strategies down and numbers of dropped layers across."""
    import statistics

    from edgebert.cli.output import print_json, print_table

    if options.json:
        print_json(explored)
        return
    scores: dict[tuple[str, int], list[float]] = {}
    for one in explored.trainings:
        scores.setdefault((one.strategy if one.dropped else "none", one.dropped), []).append(one.score)
    drops = sorted({drop for _, drop in scores})
    cells = {place: f"{statistics.mean(found):.4f} ({len(found)})" for place, found in scores.items()}
    strategies = dict.fromkeys(strategy for strategy, _ in scores)
    rows = [[strategy, *(cells.get((strategy, drop), "") for drop in drops)] for strategy in strategies]
    print(f"{options.out}: {explored.metric} on {Path(options.dev).name}, mean (trainings), by dropped layers\n")
    print_table(rows, ["strategy", *map(str, drops)])
