"""EarlyBERT (arXiv 2101.00063): find a winning ticket early, cut the network to it, and train that, as one story."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import records
from edgebert.elastic.checkpoint import Head, load_model, out_is_free, read_config
from edgebert.elastic.early_bird.costs import Cost, training_flops
from edgebert.elastic.early_bird.search import Scaled, Search, batches_of, find_ticket, stage_of
from edgebert.elastic.early_bird.ticket import Ticket, check, draw, like, mask_of, prune, random_coefficients, slice_of
from edgebert.elastic.families import family_for
from edgebert.elastic.journal import Journal
from edgebert.elastic.line import Line, Setup, Trained
from edgebert.elastic.model import ElasticModel
from edgebert.elastic.stage import Stage
from edgebert.elastic.training import Work, epoch_batches
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.records import Record
from edgebert.slices import full_subnet
from edgebert.subnet import Subnet

METHOD, TICKET, COSTS, EFFICIENT = "early-bird", "ticket.json", "costs.json", "efficient"


class Costs(Record, frozen=True):
    """What the search and the training of its ticket cost, beside the training of the full network.

    `flops_saved` and `seconds_saved` are shares of the full training; without its time there is no share of that.
    """

    schema_version: int
    search: Cost
    training: Cost
    full: Cost
    flops_saved: float
    seconds_saved: float | None


@dataclass(frozen=True)
class Hatched:
    """A finished training, the ticket that was trained, and what that cost."""

    trained: Trained
    ticket: Ticket
    costs: Costs


class _Choice(Record, frozen=True):
    """What the result depends on beside the stage: how a ticket is searched for, or which one is given."""

    search: Search
    ticket: Ticket | None
    random: bool


def efficient_training(epochs: int = 2, learning_rate: float = 1e-4, *, embeddings: bool = True) -> Stage:
    """Return the training of a ticket: fewer epochs than the full network's three, at twice its rate."""
    return Stage(name=EFFICIENT, epochs=epochs, learning_rate=learning_rate, label_weight=1.0, embeddings=embeddings)


def train(
    model: str | Path,
    train_data: str | Path,
    dev_data: str | Path,
    out: str | Path,
    *,
    search: Search | None = None,
    stage: Stage | None = None,
    ticket: str | Path | None = None,
    random: bool = False,
    full_epochs: int = 3,
    full_journal: str | Path | None = None,
    setup: Setup | None = None,
) -> Hatched:
    """Find a ticket of a checkpoint, cut the checkpoint to it, train what is left on labelled texts, and write it.

    With `ticket`, the file of an earlier search, there is no search. With `random` the units are drawn at random: as
    many in each layer as that ticket has, or, without one, the shares that a search would keep. The costs are compared
    with `full_epochs` of the full network on the same batches, and its time at the pace of `full_journal`, the journal
    of its training. What is finished stands in the work folder; the same call goes on there after an interruption and
    comes to the same result, though an interrupted search begins anew.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        EdgeBertError: a data file cannot be read.
    """
    origin, out, setup = Path(model), Path(out).absolute(), setup or Setup()
    search, stage = search or Search(), stage or efficient_training()
    out_is_free(out)
    config = read_config(origin)
    family_for(config)
    given = None if ticket is None else _read_ticket(Path(ticket), config)
    if given is None:
        check(search.pruning, config)
    pace = None if full_journal is None else _pace(Path(full_journal))
    choice = records.encode(_Choice(search, given, random), indent=0).decode()
    line = Line.open(origin, train_data, dev_data, out, setup, stages=(stage_of(search), stage), choice=choice)
    found = _ticket(line, origin, search, stage, given, random)
    part = slice_of(found, config)
    pruned = dataclasses.replace(line, load=lambda path, head: _pruned(path, head, found))
    result = pruned.run(stage, origin, subnets=[part.subnet(METHOD, "fp32")])
    manifest = ElasticManifest(
        schema_version=1,
        method=METHOD,
        widths=(1.0,),
        depths=(1.0,),
        rewired=False,
        origin=origin.resolve().name,
        subnetworks=(part,),
    )
    trained = line.finish(result, out, manifest, stage)
    searched = search if given is None and not random else None
    return Hatched(trained, found, _count(line, config, searched, found, stage, full_epochs, pace))


def _read_ticket(path: Path, config: Any) -> Ticket:
    ticket = records.read(path, Ticket, TrainingError)
    mask_of(ticket, config)
    return ticket


def _pace(path: Path) -> float:
    """Return the seconds that a step took in the training that a journal tells of."""
    last = Journal(path).last()
    return last.seconds / last.step


def _ticket(line: Line, origin: Path, search: Search, stage: Stage, given: Ticket | None, random: bool) -> Ticket:
    """Return the ticket of a training, made once: given, drawn at random, or searched for."""
    path = line.folder / TICKET
    if line.is_missing(path):
        if random:
            ticket = _random_ticket(read_config(origin), search, given, line.settings.seed)
        else:
            ticket = given or _searched(line, origin, search, stage)
        if line.accelerator.is_main_process:
            records.write_bytes(path, records.encode(ticket, indent=0), TrainingError)
        line.accelerator.wait_for_everyone()
    return records.read(path, Ticket, TrainingError)


def _random_ticket(config: Any, search: Search, given: Ticket | None, seed: int) -> Ticket:
    noise = random_coefficients(config, seed)
    return (like(mask_of(given, config), noise) if given else draw(noise, search.pruning)).ticket("random", 0)


def _searched(line: Line, origin: Path, search: Search, stage: Stage) -> Ticket:
    model = line.read(origin)
    assert isinstance(model, ElasticModel), "coefficients need a model that can be cut"
    if not stage.embeddings:
        model.freeze_embeddings()
    student: Any = Scaled(model).to(line.accelerator.device)  # stages know no coefficients
    work = Work(
        student=student,
        teacher=None,
        subnets=[model.subnet()],
        texts=line.task.train,
        dev=line.task.dev,
        accelerator=line.accelerator,
        folder=line.folder,
        journal=line.journal(stage_of(search)),
        save_seconds=60 * line.save_minutes,
    )
    return find_ticket(search, line.settings, work)


def _pruned(path: Path, head: Head, ticket: Ticket) -> ElasticModel:
    """Return the starting weights of a checkpoint, cut to a ticket."""
    model = load_model(path, head)
    prune(model, ticket)
    return model


def _count(
    line: Line,
    config: Any,
    search: Search | None,
    ticket: Ticket,
    stage: Stage,
    full_epochs: int,
    pace: float | None,
) -> Costs:
    """Return what was done and what the full network's training takes, and write it beside the journals.

    `search` is None where there was none; `pace` is the seconds of a step of the full network.
    """
    texts, settings = line.task.train, line.settings
    config.num_labels = len(line.task.head.labels)
    full = full_subnet(config)
    looked = list(itertools.islice(batches_of(texts, settings, search), ticket.step)) if search else []
    trained, whole = (
        [batch for epoch in range(epochs) for batch in epoch_batches(texts, settings, stage, epoch)]
        for epochs in (stage.epochs, full_epochs)
    )

    def cost(subnet: Subnet, batches: Sequence[Sequence[int]], seconds: float | None) -> Cost:
        return Cost(len(batches), seconds, training_flops(subnet, config, texts, batches))

    seconds = [line.journal(stage_of(search)).last().seconds if search else 0.0, line.journal(stage).last().seconds]
    searching = cost(full, looked, seconds[0])
    training = cost(slice_of(ticket, config).subnet(METHOD, "fp32"), trained, seconds[1])
    alone = cost(full, whole, None if pace is None else round(pace * len(whole), 2))
    costs = Costs(
        schema_version=1,
        search=searching,
        training=training,
        full=alone,
        flops_saved=_saved(searching.flops + training.flops, alone.flops),
        seconds_saved=_saved(sum(seconds), alone.seconds) if alone.seconds else None,
    )
    if line.accelerator.is_main_process:
        records.write_bytes(line.folder / COSTS, records.encode(costs), TrainingError)
    return costs


def _saved(spent: float, full: float) -> float:
    return round(1 - spent / full, 4)
