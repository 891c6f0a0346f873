"""EarlyBERT (arXiv 2101.00063): finds a winning ticket early, cuts the network to it, and trains that."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert import records
from edgebert.elastic.checkpoint import load_elastic
from edgebert.elastic.early_bird.ticket import Ticket, check_fits, draw, draw_like, mask_of, prune, random_coefficients
from edgebert.elastic.early_bird.ticket_search import ScaledModel, TicketSearch, find_ticket
from edgebert.elastic.events import EventJournal
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.stage import Stage
from edgebert.elastic.stage_training import epoch_batches
from edgebert.elastic.texts import Texts
from edgebert.elastic.training_data import TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult, TrainingRun
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.records import Record
from edgebert.subnet import Subnet

METHOD, TICKET, COSTS = "early-bird", "ticket.json", "costs.json"


def efficient_training(epochs: int = 2, learning_rate: float = 1e-4, *, embeddings: bool = True) -> Stage:
    """Return the training of a ticket: fewer epochs than the full network's three, at twice its rate."""
    return Stage("efficient", epochs, learning_rate, label_weight=1.0, embeddings=embeddings)


class EarlyBirdSettings(Record, frozen=True):
    """How a ticket is found and trained, and what its costs are compared with.

    With `ticket`, the file of an earlier search, there is no search. With `random` the units are drawn at random: as
    many in each layer as that ticket has, or, without one, the shares that a search would keep. The costs are compared
    with `full_epochs` of the full network on the same batches, and its time at the pace of `full_journal`, the journal
    of its training.
    """

    search: TicketSearch = TicketSearch()
    stage: Stage = efficient_training()
    ticket: str | None = None
    random: bool = False
    # Most of what a ticket saves is that it is trained for two epochs and not for three, as in the paper: against two
    # epochs of the full network it saves 19 % of the operations, not 45 % (docs/methods.md).
    full_epochs: int = 3
    full_journal: str | None = None


class Cost(Record, frozen=True):
    """Steps, seconds of work (None: not measured) and floating-point operations."""

    steps: int
    seconds: float | None
    flops: int


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
class EarlyBirdResult:
    """A finished training, the ticket that was trained, and what that cost."""

    trained: TrainingResult
    ticket: Ticket
    costs: Costs


def train(files: TrainingFiles, settings: EarlyBirdSettings, options: RunOptions) -> EarlyBirdResult:
    """Find a ticket of a checkpoint, cut the checkpoint to it, train what is left on labelled texts, and write it.

    After an interruption the same call goes on, though a search begins anew (see `TrainingRun`).

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        EdgeBertError: a data file cannot be read.
    """
    run = TrainingRun.prepare(files, options, load_elastic)
    run.config.check_elastic()
    _check_family(run.config)
    given = _given_ticket(settings.ticket, run.config)
    if given is None:
        check_fits(settings.search.pruning, run.config)
    # A journal that says nothing is refused before the training, not after it.
    last = EventJournal(Path(settings.full_journal)).last() if settings.full_journal is not None else None
    step_seconds = last.seconds / last.step if last else None
    stages = [settings.search.stage, settings.stage]
    run.claim_folder(stages, search=settings.search, ticket=given, random=settings.random)

    # The training starts from the checkpoint's weights: what the search did to them is thrown away.
    ticket = _ticket(run, settings, given)
    part = ticket.slice(run.config)
    pruned = dataclasses.replace(run, load=lambda path, task: prune(load_elastic(path, task), ticket))
    result = pruned.run_stage(settings.stage, files.model, [part.subnet(METHOD, "fp32")])
    trained = run.finish(result, ElasticManifest.of_slices(METHOD, files.origin, (part,)), settings.stage)
    searched_steps = 0 if given or settings.random else ticket.step
    return EarlyBirdResult(trained, ticket, _costs(run, ticket, settings, searched_steps, step_seconds))


def _check_family(config: ModelConfig) -> None:
    kind, reason = config.plain.model_type, ""
    if len(set(config.stored_layers)) < config.layers:
        reason = "whose layers share their heads and neurons"
    elif "distance" in config.family.described.units:
        reason = "whose attention computes what is not counted here"
    if reason:
        raise TrainingError(f"early-bird is not for {kind}, {reason}; use dynabert or layer-drop")


def _given_ticket(path: str | None, config: ModelConfig) -> Ticket | None:
    if path is None:
        return None
    ticket = records.read(Path(path), Ticket, TrainingError)
    mask_of(ticket, config)  # raises where it does not fit the network
    return ticket


def _ticket(run: TrainingRun, settings: EarlyBirdSettings, given: Ticket | None) -> Ticket:
    """Return the ticket of a training, made once: given, drawn at random, or searched for."""
    path = run.folder.path / TICKET
    # A search runs on all devices together, so this is no step that one device makes alone.
    if run.folder.is_missing(path):
        if settings.random:
            noise = random_coefficients(run.config, run.settings.seed)
            # A control has the widths of the ticket that it is compared with, so that it is as fast.
            mask = draw_like(mask_of(given, run.config), noise) if given else draw(noise, settings.search.pruning)
            ticket = Ticket.of(mask, "random", 0)
        else:
            ticket = given or _searched(run, settings)
        run.folder.make_once(path, lambda: records.write_bytes(path, records.encode(ticket, indent=0), TrainingError))
    return records.read(path, Ticket, TrainingError)


def _searched(run: TrainingRun, settings: EarlyBirdSettings) -> Ticket:
    model = run.read_model(run.files.model)
    student = ScaledModel(model.plain(), model.read_outputs).to(run.folder.accelerator.device)
    if not settings.stage.embeddings:
        student.freeze_embeddings()
    context = run.stage_context(settings.search.stage, student, [student.subnet()])
    return find_ticket(settings.search, student, context)


def _costs(
    run: TrainingRun, ticket: Ticket, settings: EarlyBirdSettings, searched_steps: int, step_seconds: float | None
) -> Costs:
    """Return what was done and what the full network's training takes, and write it beside the journals.

    `step_seconds` is how long a step of the full network takes, if it is known.
    """
    texts, search, stage = run.data.train, settings.search, settings.stage

    def epochs_of(count: int) -> list[list[int]]:
        return [batch for epoch in range(count) for batch in epoch_batches(texts, run.settings, stage, epoch)]

    def cost(subnet: Subnet, batches: Sequence[Sequence[int]], seconds: float | None) -> Cost:
        flops = training_flops(subnet, run.config, len(run.data.task.labels), texts, batches)
        return Cost(len(batches), seconds, flops)

    # Counted are the batches as they were padded: the search's as far as it went, the trainings' in full.
    part, whole = ticket.slice(run.config).subnet(METHOD, "fp32"), run.config.subnet()
    looked_at = list(itertools.islice(search.batches(texts, run.settings), searched_steps))
    searching = cost(whole, looked_at, run.journal(search.stage).last().seconds if searched_steps else 0.0)
    training = cost(part, epochs_of(stage.epochs), run.journal(stage).last().seconds)
    all_batches = epochs_of(settings.full_epochs)
    full = cost(whole, all_batches, None if step_seconds is None else round(step_seconds * len(all_batches), 2))

    spent_seconds = sum(one.seconds or 0.0 for one in (searching, training))
    costs = Costs(
        schema_version=Costs.VERSION,
        search=searching,
        training=training,
        full=full,
        flops_saved=round(1 - (searching.flops + training.flops) / full.flops, 4),
        seconds_saved=round(1 - spent_seconds / full.seconds, 4) if full.seconds else None,
    )
    if run.folder.accelerator.is_main_process:
        records.write_bytes(run.folder.path / COSTS, records.encode(costs), TrainingError)
    return costs


def forward_flops(subnet: Subnet, config: ModelConfig, labels: int, texts: int, length: int) -> int:
    """Return the floating-point operations of a forward pass of a classifier, on texts of the same length.

    Counted are the products of matrices, a multiplication and an addition as two operations; norms, activations and
    the embeddings' look-up are left out.
    """
    hidden, tokens = config.hidden, texts * length
    total = texts * hidden * (hidden + labels)  # the classifier's two layers, on one token
    if config.embedding != hidden:
        total += tokens * config.embedding * hidden  # what widens the embeddings
    for heads, ffn in zip(subnet.heads, subnet.ffn, strict=True):
        size = heads * config.head_size
        total += 4 * tokens * hidden * size  # query, key, value, and what follows attention
        total += 2 * tokens * length * size  # every token with every other, and the mixture of values
        total += (3 if "ffn_gate" in config.family.described.units else 2) * tokens * hidden * ffn
    return 2 * total


def training_flops(
    subnet: Subnet, config: ModelConfig, labels: int, texts: Texts, batches: Iterable[Sequence[int]]
) -> int:
    """Return the operations of training steps on batches of texts, given by their numbers; without the optimizer's."""
    # The gradients of a product are two products of its size (a little less where embeddings are frozen).
    return 3 * sum(
        forward_flops(subnet, config, labels, len(numbers), max(len(texts.ids[number]) for number in numbers))
        for numbers in batches
    )
