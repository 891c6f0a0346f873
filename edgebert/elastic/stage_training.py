"""Runs one stage of training, with a state on disk from which a killed run goes on to the same result.

Knows neither files of data nor which stages there are.
"""

import contextlib
import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgebert import records
from edgebert.elastic.events import Event, EventJournal, ScoreEvent, StepEvent
from edgebert.elastic.losses import TensorOutputs, hidden_loss
from edgebert.elastic.model import Model, ModelOutput, autocast
from edgebert.elastic.scoring import Scorer
from edgebert.elastic.stage import Stage, TrainingSettings
from edgebert.elastic.texts import TensorBatch, Texts
from edgebert.errors import TrainingError
from edgebert.subnet import Subnet

STATE, BEST = "state.pt", "best.safetensors"


@dataclass
class StageProgress:
    """How far a stage is: steps done, the highest sum of dev scores, seconds of work, and the journal's size then."""

    step: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    journal_bytes: int = 0


@dataclass(frozen=True)
class StageContext:
    """A stage and what it works with: models, texts, what scores the student, the machine, a folder and a journal.

    `subnets` are those that learn, the largest first.
    """

    stage: Stage
    settings: TrainingSettings
    student: Model
    teacher: Model | None
    subnets: Sequence[Subnet]
    texts: Texts
    scorer: Scorer
    accelerator: Accelerator
    folder: Path
    journal: EventJournal
    save_seconds: float

    def report(self, event: Event) -> None:
        """Write an event into the journal, once for all devices."""
        if self.accelerator.is_main_process:
            self.journal(event)

    def seed(self, step: int) -> None:
        """Seed dropout by the place in the training alone, so that a resumed stage needs no state of it."""
        place = (self.settings.seed, self.stage.name, step, self.accelerator.process_index)
        torch.manual_seed(int.from_bytes(hashlib.sha256(repr(place).encode()).digest()[:8], "big") >> 1)


def run_stage(context: StageContext) -> None:
    """Train the student through a stage; it ends with the weights whose dev scores had the highest sum.

    Raises:
        TrainingError: the loss is no longer finite, or the memory is not enough.
    """
    stage, settings, student = context.stage, context.settings, context.student
    if not stage.embeddings:
        student.freeze_embeddings()
    optimizer = make_optimizer(student, settings)
    per_epoch = math.ceil(len(context.texts) / settings.batch_size)
    steps = stage.epochs * per_epoch
    progress = _resume(context, optimizer)
    saved = time.monotonic()
    started = saved - progress.seconds

    # Without dropout a student learns in the mode that it is run in.
    student.train(stage.dropout)
    for epoch in range(progress.step // per_epoch, stage.epochs):
        # Order, sub-networks and dropout follow from the step's number alone, so that a resumed stage needs no history.
        order = epoch_batches(context.texts, settings, stage, epoch)
        for numbers in order[progress.step - epoch * per_epoch :]:
            # Before a step, not after one: a state after an epoch's last step would lack the scores of that epoch.
            if time.monotonic() - saved > context.save_seconds:
                _save(progress, optimizer, context)
                saved = time.monotonic()
            rate = learning_rate_at(stage, settings, progress.step, steps)
            chosen = chosen_subnets(context.subnets, stage, settings.seed, progress.step)
            context.seed(progress.step)
            progress.step += 1
            losses = learn(context, optimizer, rate, chosen, numbers, progress.step)
            progress.seconds = time.monotonic() - started
            context.report(StepEvent(stage.name, progress.step, steps, round(progress.seconds, 2), losses, rate))
        with memory_explained(settings.too_large):
            _keep_best(steps, progress, context)

    # The main process may still be writing the best weights. They are read into the CPU's memory: safetensors does not
    # take every name of a device that accelerate gives where several processes train on one.
    context.accelerator.wait_for_everyone()
    student.load_state_dict(load_file(context.folder / BEST))


def make_optimizer(student: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return AdamW, with weight decay for matrices only."""
    learning = [parameter for parameter in student.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learning if parameter.ndim > 1]
    vectors = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, fused=True)


def learn(
    context: StageContext,
    optimizer: torch.optim.Optimizer,
    rate: float,
    subnets: Sequence[Subnet],
    numbers: Sequence[int],
    step: int,
    penalty: Callable[[], Tensor] | None = None,
) -> dict[str, float]:
    """Take a step on a batch of texts, given by their numbers; return the weighted losses per text.

    Raises:
        TrainingError: the loss is no longer finite, or the memory is not enough.
    """
    with memory_explained(context.settings.too_large):
        losses = gradients(context, subnets, numbers)
        if penalty:
            # It is of the step, not of each text, so it is added once beside the parts of a batch.
            value = penalty()
            torch.autograd.backward(value)
            losses = {"labels": losses["labels"], "penalty": value.item()}
        if not all(map(math.isfinite, losses.values())):
            advice = "lower the learning rate or use --compute fp32"
            raise TrainingError(f"the loss of stage {context.stage.name} is no longer finite at step {step}; {advice}")
        take_step(context.student.network, optimizer, rate, context.settings.clip_norm)
    return losses


def take_step(student: nn.Module, optimizer: torch.optim.Optimizer, rate: float, clip_norm: float) -> None:
    """Take one step of the optimizer along the gradients, which are clipped, and set them to zero."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    nn.utils.clip_grad_norm_(student.parameters(), clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def learning_rate_at(stage: Stage, settings: TrainingSettings, step: int, steps: int) -> float:
    """Return the rate of a step: it rises over the warm-up, then falls to 0, each in a line."""
    warmup = settings.warmup * steps
    share = (step + 1) / warmup if step < warmup else (steps - step) / max(1.0, steps - warmup)
    return stage.learning_rate * min(1.0, share)


def warmed_up(rate: float, warmup: float, step: int, steps: int) -> float:
    """Return the rate of a step, counted from 1: it rises over the warm-up in a line, then stays."""
    return rate * min(1.0, step / max(1.0, warmup * steps))


def epoch_batches(texts: Texts, settings: TrainingSettings, stage: Stage, epoch: int) -> list[list[int]]:
    """Return the numbers of the texts of each step of an epoch."""
    return texts.batches(settings.batch_size, f"{settings.seed} {stage.name} {epoch}")


def chosen_subnets(subnets: Sequence[Subnet], stage: Stage, seed: int, step: int) -> list[Subnet]:
    """Return the sub-networks of a step: all, or the largest, the smallest and some drawn from those between."""
    if stage.sampled is None or stage.sampled >= len(subnets):
        return list(subnets)
    # A step of four takes 0.41 s on two cores (docs/log.md).
    between = random.Random(f"{seed} {stage.name} {step}").sample(subnets[1:-1], stage.sampled - 2)
    return [subnets[0], *between, subnets[-1]]


def gradients(context: StageContext, subnets: Sequence[Subnet], numbers: Sequence[int]) -> dict[str, float]:
    """Add up the gradients of a batch over sub-networks, parts and devices; return the weighted losses per text."""
    accelerator, accumulate = context.accelerator, context.settings.accumulate
    parts, first = accelerator.num_processes * accumulate, accelerator.process_index * accumulate
    # Losses of labels and logits are sums over texts or their tokens, that of hidden states is a sum over tokens.
    tokens = sum(len(context.texts.ids[number]) for number in numbers)
    of_tokens = context.scorer.losses.of_tokens
    labels, logits = (context.texts.labelled_tokens(numbers), tokens) if of_tokens else (len(numbers), len(numbers))
    counts = torch.tensor([labels, logits, tokens], device=accelerator.device)
    totals = torch.zeros(3, device=accelerator.device)
    for part in range(first, first + accumulate):
        share = numbers[part::parts]
        # The last batch of an epoch may have fewer texts than there are parts.
        if share:
            batch = context.texts.batch(share, accelerator.device)
            # Divided by the counts of the whole batch, so that gradients add up to those of the whole.
            totals += _add_gradients(context, subnets, batch, counts)

    if accelerator.num_processes > 1:
        # All devices reduce the same list of gradients, also of weights that no sub-network of the step has: a device
        # that left one out would have the others wait for it.
        for parameter in filter(lambda parameter: parameter.requires_grad, context.student.parameters()):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad = accelerator.reduce(parameter.grad, "sum")
        totals = accelerator.reduce(totals, "sum")
    return dict(zip(("labels", "logits", "hidden"), totals.tolist(), strict=True))


def _add_gradients(context: StageContext, subnets: Sequence[Subnet], batch: TensorBatch, counts: Tensor) -> Tensor:
    """Add up the gradients of sub-networks on a batch, the full one first; return their losses by `counts` (3,)."""
    device, compute, moves_full = context.accelerator.device, context.settings.compute, context.scorer.losses.moves_full

    def run(subnet: Subnet) -> ModelOutput:
        with autocast(device, compute):
            output: ModelOutput = context.student(batch.ids, batch.mask, subnet, batch.types)
        return output

    taught: dict[Subnet, ModelOutput] = {}
    largest, *others = subnets
    full = run(largest)
    found = _losses(context, largest, full, batch, taught) / counts
    totals = found.detach().clone()
    # One sub-network at a time, so that the activations of one only are in memory; those of the full one stay where it
    # is to move towards the others.
    if not moves_full:
        torch.autograd.backward(found.sum())
    shown = {name: tensor.detach().requires_grad_() for name, tensor in full.outputs.items()}
    for subnet in others:
        losses = _losses(context, subnet, run(subnet), batch, taught, shown) / counts
        torch.autograd.backward(losses.sum())
        totals += losses.detach()
    if moves_full:
        moved = [(full.outputs[name], tensor.grad) for name, tensor in shown.items() if tensor.grad is not None]
        torch.autograd.backward([found.sum(), *(output for output, _ in moved)], [None, *(by for _, by in moved)])
    return totals


def _losses(
    context: StageContext,
    subnet: Subnet,
    output: ModelOutput,
    batch: TensorBatch,
    taught: dict[Subnet, ModelOutput],
    full: TensorOutputs | None = None,
) -> Tensor:
    """Return the weighted losses of a sub-network on a batch: for labels, logits and hidden states (3,).

    `taught` is what the teacher has answered so far, to which it adds. `full` is what the full network puts out, None
    for that one itself.
    """
    stage, functions, compute = context.stage, context.scorer.losses, context.settings.compute
    device = context.accelerator.device
    losses = [torch.zeros((), device=device)] * 3
    if stage.label_weight:
        assert batch.targets is not None, "a loss of labels needs labelled texts"
        losses[0] = stage.label_weight * functions.of_targets(output.outputs, batch.targets)

    if context.teacher:
        asked = _teacher_subnet(stage, context.teacher, subnet)
        # At full width the teacher answers once for all sub-networks of a batch.
        if asked not in taught:
            with torch.no_grad(), autocast(device, compute):
                taught[asked] = context.teacher(batch.ids, batch.mask, asked, batch.types)
        right = taught[asked]
        if stage.logit_weight:
            outputs = output.outputs, right.outputs, full or right.outputs
            losses[1] = stage.logit_weight * functions.of_teacher(*outputs, stage.temperature)
        if stage.hidden_weight:
            losses[2] = stage.hidden_weight * hidden_loss(output.hidden, right.hidden, subnet.layers, batch.mask)
    return torch.stack(losses)


def _teacher_subnet(stage: Stage, teacher: Model, subnet: Subnet) -> Subnet:
    """Return what the teacher runs as: all layers, at full width or at the student's."""
    full = teacher.subnet()
    if stage.teacher_width == "full":
        return full
    layers = len(full.layers)
    return msgspec.structs.replace(full, heads=subnet.heads[:1] * layers, ffn=subnet.ffn[:1] * layers)


@contextlib.contextmanager
def memory_explained(too_large: str) -> Iterator[None]:
    """Turn the errors that mean too little memory into one that says what is too large and what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        # CUDA's, Linux's and Windows' words; where the CPU has no more, torch raises a plain RuntimeError.
        signs = ("out of memory", "can't allocate memory", "not enough memory")
        if not isinstance(problem, MemoryError) and not any(sign in str(problem) for sign in signs):
            raise
        raise TrainingError(f"out of memory with {too_large}") from None


def _keep_best(steps: int, progress: StageProgress, context: StageContext) -> None:
    """Score all sub-networks on the dev texts, and store the weights if the sum of scores is the highest so far."""
    scores = context.scorer.score_all(context.student, context.subnets)
    total = sum(one.score for one in scores)
    best = total > progress.best
    if best:
        progress.best = total
        if context.accelerator.is_main_process:
            state = context.student.state_dict()
            tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
            records.replace_file(context.folder / BEST, lambda path: _write_tensors(tensors, path), TrainingError)
    context.report(ScoreEvent(context.stage.name, progress.step, steps, round(progress.seconds, 2), scores, best))


def _write_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as problem:  # such as a full disk; it is no OSError
        raise OSError(str(problem)) from None


def _save(progress: StageProgress, optimizer: torch.optim.Optimizer, context: StageContext) -> None:
    """Store all that the rest of the stage depends on; the other devices hold the same."""
    if not context.accelerator.is_main_process:
        return
    # The journal is cut back to here when the stage goes on from this state.
    progress.journal_bytes = context.journal.file.size_bytes
    state = {"progress": vars(progress), "student": context.student.state_dict(), "optimizer": optimizer.state_dict()}
    records.replace_file(context.folder / STATE, lambda path: torch.save(state, path), TrainingError)


def _resume(context: StageContext, optimizer: torch.optim.Optimizer) -> StageProgress:
    """Return how far the stage was when it was interrupted, and put weights and moments back; else the beginning."""
    path, progress = context.folder / STATE, StageProgress()
    if path.exists():
        try:
            # With weights_only nothing is unpickled that could run code.
            state = torch.load(path, map_location=context.accelerator.device, weights_only=True)
        except Exception as problem:  # a damaged file can raise about anything
            advice = f"remove {path} to begin the stage again"
            raise TrainingError(f"{path} is damaged: {' '.join(str(problem).split())[:100]}; {advice}") from None
        context.student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        progress = StageProgress(**state["progress"])
    # What the journal says of later steps is written again when they are made again.
    if context.accelerator.is_main_process:
        context.journal.file.cut_back(progress.journal_bytes)
    return progress
