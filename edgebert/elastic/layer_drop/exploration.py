"""Trains a checkpoint with every strategy and several numbers of dropped layers, to compare them."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgebert import records
from edgebert.elastic.checkpoint import load_whole
from edgebert.elastic.layer_drop.method import LayerDropSettings, layer_similarities, train
from edgebert.elastic.layer_drop.strategies import STRATEGIES, Strategy, layers_left, most_dropped
from edgebert.elastic.stage import Stage, fine_tuning
from edgebert.elastic.training_data import TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingRun
from edgebert.errors import TrainingError
from edgebert.records import Record
from edgebert.scratch import remove_folder
from edgebert.staging import FolderKind

EXPLORED = "explored.json"
_EXPLORATION = FolderKind(name="exploration", marker=EXPLORED, error=TrainingError)


class ExplorationSettings(Record, frozen=True):
    """What is compared: strategies, numbers of dropped layers and seeds, and how each is fine-tuned."""

    strategies: tuple[Strategy, ...] = STRATEGIES
    drops: tuple[int, ...] = (1, 2, 3)
    seeds: tuple[int, ...] = (1,)
    fine_tune: Stage = fine_tuning(3)

    def variants(self, layers: int) -> Iterator[tuple[Strategy, int, int]]:
        """Yield each strategy, number of dropped layers and seed that is possible; the full model first."""
        for seed in self.seeds:
            yield "top", 0, seed
            for drop, strategy in itertools.product(self.drops, self.strategies):
                if drop <= most_dropped(strategy, layers):
                    yield strategy, drop, seed


class Exploration(Record, frozen=True):
    """One training: how many layers were dropped how, those that were left, and the dev score."""

    strategy: Strategy
    dropped: int
    layers: tuple[int, ...]
    seed: int
    score: float
    checkpoint: str


class Explored(Record, frozen=True):
    """All trainings; `metric` is what their scores are."""

    schema_version: int
    metric: str
    trainings: tuple[Exploration, ...]


def explore(files: TrainingFiles, settings: ExplorationSettings, options: RunOptions) -> Explored:
    """Train every strategy with every number of dropped layers and every seed; return their scores.

    Checkpoints and scores stand in the folder `files.out`. Strategies that keep the same layers share a training, and
    one that cannot drop so many, or a layer that must stay, has none. Finished trainings stay done; more may be asked
    for later.

    Raises:
        TrainingError: as `train`, or `out` holds another exploration or something else.
        EdgeBertError: a data file cannot be read.
    """
    out = files.out.absolute()
    _EXPLORATION.check_free(out)
    work = out / "exploration"
    # What all trainings share is read once, and claims that all of them are of the same data and settings. Their seeds
    # may differ, so that the claim has none.
    shared = dataclasses.replace(options, seed=0, work=work)
    run = TrainingRun.prepare(dataclasses.replace(files, out=work / "all"), shared, load_whole)
    count = run.config.layers
    variants = list(settings.variants(count))
    run.claim_folder([settings.fine_tune])

    similarities = layer_similarities(run, run.read_model(files.model)) if "contribution" in settings.strategies else ()
    found = Explored(schema_version=Explored.VERSION, metric=run.metric.METRICS[0], trainings=())
    if (out / EXPLORED).exists():
        found = records.read(out / EXPLORED, Explored, TrainingError)
    # From here on the folder is known as an exploration, also after an interruption.
    _save(found, out)

    for strategy, drop, seed in variants:
        layers = layers_left(strategy, drop, count, similarities)
        if not run.config.has_layers(layers):
            continue
        same = [one for one in found.trainings if (one.layers, one.seed) == (layers, seed)]
        if any((one.strategy, one.dropped) == (strategy, drop) for one in same):
            continue
        if same:  # by another strategy, which keeps these layers too
            one = msgspec.structs.replace(same[0], strategy=strategy)
        else:
            one = _train_one(files, LayerDropSettings(strategy, drop, settings.fine_tune), options, seed)
        found = msgspec.structs.replace(found, trainings=(*found.trainings, one))
        _save(found, out)
    return found


def _save(found: Explored, out: Path) -> None:
    records.write_bytes(out / EXPLORED, records.encode(found), TrainingError)


def _train_one(files: TrainingFiles, settings: LayerDropSettings, options: RunOptions, seed: int) -> Exploration:
    """Train one variant in a folder of its own, and remove its work folder."""
    out = files.out.absolute()
    name = f"{settings.name}-seed-{seed}"
    work = out / "exploration" / name
    own_files = dataclasses.replace(files, out=out / name)
    trained = train(own_files, settings, dataclasses.replace(options, seed=seed, work=work))
    remove_folder(work)
    (scored,) = trained.scores
    return Exploration(settings.strategy, settings.drop, trained.manifest.layers, seed, scored.score, name)
