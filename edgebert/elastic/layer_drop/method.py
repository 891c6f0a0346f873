"""Poor Man's BERT (arXiv 2004.03844): drop layers from a checkpoint, then fine-tune what is left, as one story."""

import dataclasses
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.nn.functional import cosine_similarity

from edgebert import records
from edgebert.elastic.checkpoint import load_whole, out_is_free, read_config
from edgebert.elastic.layer_drop.strategies import STRATEGIES, Strategy, kept_layers, most_dropped
from edgebert.elastic.line import Line, Setup, Trained
from edgebert.elastic.stage import Stage
from edgebert.elastic.whole import Model, WholeModel
from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.errors import TrainingError
from edgebert.records import Record

METHOD, DROPPED, EXPLORED = "layer-drop", "dropped", "explored.json"
MEASURED_TEXTS = 1000  # on which similarities are measured


class Exploration(Record, frozen=True):
    """One training of an exploration: how many layers were dropped how, those that were left, and the dev score."""

    strategy: Strategy
    dropped: int
    layers: tuple[int, ...]
    seed: int
    score: float
    checkpoint: str


class Explored(Record, frozen=True):
    """All trainings of an exploration; `metric` is what their scores are."""

    schema_version: int
    metric: str
    trainings: tuple[Exploration, ...]


def fine_tuning(epochs: int = 3, learning_rate: float = 5e-5, *, embeddings: bool = True) -> Stage:
    """Return the fine-tuning on the labels that follows; without `embeddings` their tables stay as they are."""
    return Stage(name="fine-tuned", epochs=epochs, learning_rate=learning_rate, label_weight=1.0, embeddings=embeddings)


def train(
    model: str | Path,
    train_data: str | Path,
    dev_data: str | Path,
    out: str | Path,
    *,
    strategy: Strategy = "top",
    drop: int = 2,
    fine_tune: Stage | None = None,
    setup: Setup | None = None,
) -> Trained:
    """Drop layers from a checkpoint by a strategy, fine-tune it on labelled texts, and write it to `out`.

    Its elastic.json says which layers of the model they were. What is finished stands in the work folder; the same call
    goes on there after an interruption and comes to the same result.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        EdgeBertError: a data file cannot be read.
    """
    origin, out, stage, setup = Path(model), Path(out).absolute(), fine_tune or fine_tuning(), setup or Setup()
    out_is_free(out)
    _check(origin, strategy, drop)
    name = _name(strategy, drop)
    line = Line.open(origin, train_data, dev_data, out, setup, stages=(stage,), choice=name, load=load_whole)
    start = line.step(DROPPED, lambda: _dropped(line, origin, strategy, drop))
    manifest = ElasticManifest.load(start)
    assert manifest is not None, "a checkpoint with dropped layers says so"
    result = line.run(stage, start, subnets=[manifest.subnetworks[0].subnet(manifest.method, "fp32")])
    return line.finish(result, out, manifest, stage)


def explore(
    model: str | Path,
    train_data: str | Path,
    dev_data: str | Path,
    out: str | Path,
    *,
    strategies: Sequence[Strategy] = STRATEGIES,
    drops: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int] = (1,),
    fine_tune: Stage | None = None,
    setup: Setup | None = None,
) -> Explored:
    """Train every strategy with every number of dropped layers and every seed; return their scores.

    Their checkpoints stand in the folder `out`, and so do the scores. The full model (0 dropped) is trained too, to
    compare with. Strategies that keep the same layers share a training, and one that cannot drop so many has none.
    Finished trainings stay done; more strategies, numbers and seeds may be asked for later.

    Raises:
        TrainingError: as `train`, or `out` holds another exploration or something else.
        EdgeBertError: a data file cannot be read.
    """
    origin, out, stage, setup = Path(model), Path(out).absolute(), fine_tune or fine_tuning(), setup or Setup()
    count = read_config(origin).num_hidden_layers
    for strategy in strategies:
        _check(origin, strategy, 0)
    if out.exists() and not (out / EXPLORED).exists() and any(out.iterdir()):
        raise TrainingError(f"{out} exists and is no exploration; choose another --out or remove it")
    shared = dataclasses.replace(setup, seed=0, work=out / "exploration")
    line = Line.open(origin, train_data, dev_data, out, shared, stages=(stage,), choice="exploration", load=load_whole)
    similarities = _similarities(line, line.read(origin)) if "contribution" in strategies else ()
    found = Explored(schema_version=1, metric=line.task.head.metric, trainings=())
    if (out / EXPLORED).exists():
        found = records.read(out / EXPLORED, Explored, TrainingError)
    wanted: list[tuple[Strategy, int]] = [("top", 0), *((strategy, drop) for drop in drops for strategy in strategies)]
    for seed in seeds:
        for strategy, drop in wanted:
            if drop > most_dropped(strategy, count):
                continue
            layers = kept_layers(strategy, drop, count, similarities)
            same = [one for one in found.trainings if (one.layers, one.seed) == (layers, seed)]
            if any((one.strategy, one.dropped) == (strategy, drop) for one in same):
                continue
            if same:
                one = msgspec.structs.replace(same[0], strategy=strategy)
            else:
                name = f"{_name(strategy, drop)}-seed-{seed}"
                place, work = out / name, out / "exploration" / name
                run = dataclasses.replace(setup, seed=seed, work=work)
                options: dict[str, Any] = {"strategy": strategy, "drop": drop, "fine_tune": stage, "setup": run}
                trained = train(origin, train_data, dev_data, place, **options)
                shutil.rmtree(work)
                (score,) = trained.scores.values()
                one = Exploration(strategy, drop, layers, seed, score, place.name)
            found = msgspec.structs.replace(found, trainings=(*found.trainings, one))
            records.write_bytes(out / EXPLORED, records.encode(found), TrainingError)
    return found


def _check(origin: Path, strategy: Strategy, drop: int) -> None:
    """Raise a TrainingError if a strategy cannot drop so many layers of a checkpoint."""
    layers = read_config(origin).num_hidden_layers
    kept_layers(strategy, drop, layers, [0.0] * layers)


def _name(strategy: Strategy, drop: int) -> str:
    return f"drop-{strategy}-{drop}" if drop else "full"


def _dropped(line: Line, origin: Path, strategy: Strategy, drop: int) -> tuple[WholeModel, ElasticManifest]:
    """Return a checkpoint without the layers that a strategy drops, and what its elastic.json says."""
    model = line.read(origin)
    assert isinstance(model, WholeModel), "layers are dropped from a model that is run whole"
    similarities = _similarities(line, model) if strategy == "contribution" else ()
    layers = kept_layers(strategy, drop, model.config.num_hidden_layers, similarities)
    model.keep_layers(layers)
    whole = model.subnet()
    manifest = ElasticManifest(
        schema_version=1,
        method=METHOD if drop else "fine-tuning",
        widths=(1.0,),
        depths=(1.0,),
        rewired=False,
        origin=origin.resolve().name,
        subnetworks=(Slice(id=_name(strategy, drop), layers=layers, heads=whole.heads, ffn=whole.ffn),),
        layers=layers,
    )
    return model, manifest


@torch.inference_mode()
def _similarities(line: Line, model: Model) -> list[float]:
    """Return how similar the token that a classifier reads is before and after each layer, on average over texts.

    It is the cosine of the two states, from -1 to 1, for at most 1,000 training texts and without dropout.
    """
    model.eval()
    device, texts = line.accelerator.device, line.task.train
    numbers = range(min(len(texts), MEASURED_TEXTS))
    subnet, place = model.subnet(), -1 if texts.pad_left else 0  # XLNet's [CLS] is the last token
    total = torch.zeros(len(subnet.layers))
    for start in range(0, len(numbers), line.settings.batch_size):
        batch = texts.batch(numbers[start : start + line.settings.batch_size], device)
        states = [state[:, place] for state in model(batch.ids, batch.mask, subnet, batch.types).hidden]
        for layer, (before, after) in enumerate(itertools.pairwise(states)):
            total[layer] += cosine_similarity(before.float(), after.float()).sum().cpu()
    return (total / len(numbers)).tolist()
