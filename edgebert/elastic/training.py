"""Runs one stage of training, with a state on disk from which a killed run goes on to the same result.

Knows neither files of data nor which stages there are.
"""

import contextlib
import hashlib
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgebert.elastic.data import Batch, Texts
from edgebert.elastic.journal import Event, Journal, ScoreEvent, StepEvent
from edgebert.elastic.losses import hidden_loss, label_loss, logit_loss
from edgebert.elastic.model import ElasticModel, Output
from edgebert.elastic.scoring import Score, score
from edgebert.elastic.stage import Compute, Settings, Stage
from edgebert.elastic.whole import Model
from edgebert.errors import TrainingError
from edgebert.machine.device import this_device
from edgebert.subnet import Subnet

STATE, BEST = "state.pt", "best.safetensors"
SCORING_BATCH = 64


@dataclass
class Progress:
    """How far a stage is: steps done, the highest sum of dev scores, seconds of work, and the journal's size then."""

    step: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    journal_bytes: int = 0


@dataclass(frozen=True)
class Work:
    """What a stage works with: the two models, its texts, the dev texts, the machine, a folder and the journal.

    `subnets` are those that learn, the largest first.
    """

    student: Model
    teacher: Model | None
    subnets: Sequence[Subnet]
    texts: Texts
    dev: Texts
    accelerator: Accelerator
    folder: Path
    journal: Journal
    save_seconds: float


def best_compute() -> Compute:
    """Return bf16 where the machine multiplies it natively, else fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(this_device().instruction_sets) else "fp32"


def subnets_of(model: ElasticModel, stage: Stage) -> list[Subnet]:
    """Return the sub-networks that learn in a stage, the largest first."""
    grid = (
        model.subnet(width, depth)
        for depth in sorted(stage.depths, reverse=True)
        for width in sorted(stage.widths, reverse=True)
    )
    return list({(subnet.layers, subnet.heads): subnet for subnet in grid}.values())


def run_stage(stage: Stage, settings: Settings, work: Work) -> None:
    """Train the student through a stage; it ends with the weights whose dev scores had the highest sum.

    Raises:
        TrainingError: the loss is no longer finite, or the memory is not enough.
    """
    if not stage.embeddings:
        work.student.freeze_embeddings()
    subnets, optimizer = work.subnets, optimizer_of(work.student, settings)
    per_epoch = math.ceil(len(work.texts) / settings.batch_size)
    steps = stage.epochs * per_epoch
    progress = _resume(work, optimizer)
    saved = time.monotonic()
    started = saved - progress.seconds
    work.student.train(stage.dropout)
    for epoch in range(progress.step // per_epoch, stage.epochs):
        order = epoch_batches(work.texts, settings, stage, epoch)
        for numbers in order[progress.step - epoch * per_epoch :]:
            if time.monotonic() - saved > work.save_seconds:
                _save(progress, optimizer, work)
                saved = time.monotonic()
            rate = _learning_rate(stage, settings, progress.step, steps)
            chosen = _chosen(subnets, stage, settings.seed, progress.step)
            torch.manual_seed(seed_of(settings.seed, stage.name, progress.step, work.accelerator.process_index))
            with memory_explained(settings):
                losses = gradients(stage, settings, work, chosen, numbers)
                check_finite(losses, stage, progress.step)
                update(work.student, optimizer, rate, settings)
            progress.step, progress.seconds = progress.step + 1, time.monotonic() - started
            tell(work, StepEvent(stage.name, progress.step, steps, losses, rate, round(progress.seconds, 2)))
        with memory_explained(settings):
            _keep_best(stage, steps, subnets, progress, work)
    work.accelerator.wait_for_everyone()
    work.student.load_state_dict(load_file(work.folder / BEST))


def epoch_batches(texts: Texts, settings: Settings, stage: Stage, epoch: int) -> list[list[int]]:
    """Return the numbers of the texts of each step of an epoch."""
    return texts.batches(settings.batch_size, f"{settings.seed} {stage.name} {epoch}")


def update(student: Model, optimizer: torch.optim.Optimizer, rate: float, settings: Settings) -> None:
    """Take one step of the optimizer along the gradients, clipped."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    nn.utils.clip_grad_norm_(student.parameters(), settings.clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def optimizer_of(student: Model, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW, with weight decay for matrices only."""
    learning = [parameter for parameter in student.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learning if parameter.ndim > 1]
    vectors = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, fused=True)


def _learning_rate(stage: Stage, settings: Settings, step: int, steps: int) -> float:
    """Return the rate of a step: it rises over the warm-up, then falls to 0, each in a line."""
    warmup = settings.warmup * steps
    share = (step + 1) / warmup if step < warmup else (steps - step) / max(1.0, steps - warmup)
    return stage.learning_rate * min(1.0, share)


def seed_of(*parts: object) -> int:
    """Return a seed for dropout that depends on the place in the training alone, so that it needs no state."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def _chosen(subnets: Sequence[Subnet], stage: Stage, seed: int, step: int) -> list[Subnet]:
    """Return the sub-networks of a step: all, or the largest, the smallest and some drawn from those between."""
    if stage.sampled is None or stage.sampled >= len(subnets):
        return list(subnets)
    between = random.Random(f"{seed} {stage.name} {step}").sample(subnets[1:-1], stage.sampled - 2)
    return [subnets[0], *between, subnets[-1]]


def gradients(
    stage: Stage, settings: Settings, work: Work, subnets: Sequence[Subnet], numbers: Sequence[int]
) -> dict[str, float]:
    """Add up the gradients of a batch over sub-networks, parts and devices; return the weighted losses per text."""
    accelerator, tokens = work.accelerator, sum(len(work.texts.ids[number]) for number in numbers)
    parts, first = accelerator.num_processes * settings.accumulate, accelerator.process_index * settings.accumulate
    counts = torch.tensor([len(numbers), len(numbers), tokens], device=accelerator.device)
    totals = torch.zeros(3, device=accelerator.device)
    for part in range(first, first + settings.accumulate):
        share = numbers[part::parts]
        if share:
            batch = work.texts.batch(share, accelerator.device)
            for losses in _losses(stage, settings.compute, work, subnets, batch):
                means = losses / counts
                torch.autograd.backward(means.sum())
                totals += means.detach()
    if accelerator.num_processes > 1:
        for parameter in filter(lambda parameter: parameter.requires_grad, work.student.parameters()):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad = accelerator.reduce(parameter.grad, "sum")
        totals = accelerator.reduce(totals, "sum")
    return dict(zip(("labels", "logits", "hidden"), totals.tolist(), strict=True))


def _losses(stage: Stage, compute: Compute, work: Work, subnets: Sequence[Subnet], batch: Batch) -> Iterator[Tensor]:
    """Yield the weighted losses of each sub-network on a batch: for labels, logits and hidden states (3,)."""
    taught: dict[Subnet, Output] = {}
    device = work.accelerator.device
    zero = torch.zeros((), device=device)
    for subnet in subnets:
        with torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16"):
            output = work.student(batch.ids, batch.mask, subnet, batch.types)
        losses = [zero, zero, zero]
        if stage.label_weight:
            assert batch.labels is not None, "a loss of labels needs labelled texts"
            losses[0] = stage.label_weight * label_loss(output.logits, batch.labels)
        if work.teacher:
            full = _teacher_subnet(stage, work.teacher, subnet)
            if full not in taught:
                with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16"):
                    taught[full] = work.teacher(batch.ids, batch.mask, full, batch.types)
            losses[1] = stage.logit_weight * logit_loss(output.logits, taught[full].logits, stage.temperature)
            if stage.hidden_weight:
                hidden = hidden_loss(output.hidden, taught[full].hidden, subnet.layers, batch.mask)
                losses[2] = stage.hidden_weight * hidden
        yield torch.stack(losses)


def _teacher_subnet(stage: Stage, teacher: Model, subnet: Subnet) -> Subnet:
    """Return what the teacher runs as: all layers, at full width or at the student's."""
    full = teacher.subnet()
    if stage.teacher_width == "full":
        return full
    layers = len(full.layers)
    return msgspec.structs.replace(full, heads=subnet.heads[:1] * layers, ffn=subnet.ffn[:1] * layers)


def check_finite(losses: dict[str, float], stage: Stage, step: int) -> None:
    """Raise a TrainingError if the losses of a step are not finite."""
    if not all(map(math.isfinite, losses.values())):
        advice = "lower the learning rate or use --compute fp32"
        raise TrainingError(f"the loss of stage {stage.name} is no longer finite at step {step + 1}; {advice}")


@contextlib.contextmanager
def memory_explained(settings: Settings) -> Iterator[None]:
    """Turn the errors that mean too little memory into one that says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        signs = ("out of memory", "can't allocate memory", "not enough memory")
        if not isinstance(problem, MemoryError) and not any(sign in str(problem) for sign in signs):
            raise
        parts = f"{settings.batch_size} texts of up to {settings.max_length} tokens in {settings.accumulate} part(s)"
        advice = "run the same command again with a higher --accumulate"
        raise TrainingError(f"out of memory with {parts}; {advice}") from None


def tell(work: Work, event: Event) -> None:
    """Write an event into the journal, once for all devices."""
    if work.accelerator.is_main_process:
        work.journal(event)


def _keep_best(stage: Stage, steps: int, subnets: Sequence[Subnet], progress: Progress, work: Work) -> None:
    """Score all sub-networks on the dev texts, and store the weights if the sum of scores is the highest so far."""
    scores = scores_of(work.student, subnets, work.dev, work.accelerator)
    total = sum(result.score for result in scores.values())
    best = total > progress.best
    if best:
        progress.best = total
        if work.accelerator.is_main_process:
            _replace(work.folder / BEST, lambda path: save_file(_tensors(work.student), path))
    event = ScoreEvent(
        stage=stage.name,
        step=progress.step,
        steps=steps,
        scores={name: result.score for name, result in scores.items()},
        losses={name: result.loss for name, result in scores.items()},
        best=best,
        seconds=round(progress.seconds, 2),
    )
    tell(work, event)


def scores_of(model: Model, subnets: Sequence[Subnet], texts: Texts, accelerator: Accelerator) -> dict[str, Score]:
    """Return the score of each sub-network by its id, the work shared by the devices."""
    mine = subnets[accelerator.process_index :: accelerator.num_processes]
    found = [(subnet.id, score(model, subnet, texts, SCORING_BATCH, accelerator.device)) for subnet in mine]
    by_id = dict(gather_object(found) if accelerator.num_processes > 1 else found)
    return {subnet.id: by_id[subnet.id] for subnet in subnets}


def _tensors(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}


def _save(progress: Progress, optimizer: torch.optim.Optimizer, work: Work) -> None:
    """Store all that the rest of the stage depends on; the other devices hold the same."""
    if not work.accelerator.is_main_process:
        return
    progress.journal_bytes = work.journal.size_bytes
    state = {
        "progress": vars(progress),
        "student": work.student.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    _replace(work.folder / STATE, lambda path: torch.save(state, path))


def _replace(path: Path, write: Any) -> None:
    """Write a file beside its place and rename it, so that a kill leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        write(temporary)
    except (OSError, RuntimeError) as problem:  # torch raises a RuntimeError where the disk is full
        raise TrainingError(f"cannot write {path}: {problem}; make room and run the same command again") from None
    os.replace(temporary, path)


def _resume(work: Work, optimizer: torch.optim.Optimizer) -> Progress:
    """Return how far the stage was when it was interrupted, and put weights and moments back; else the beginning."""
    path = work.folder / STATE
    if not path.exists():
        if work.accelerator.is_main_process:
            work.journal.cut(0)
        return Progress()
    try:
        state = torch.load(path, map_location=work.accelerator.device, weights_only=True)
    except Exception as problem:  # a damaged file can raise about anything
        advice = f"remove {path} to begin the stage again"
        raise TrainingError(f"{path} is damaged: {' '.join(str(problem).split())[:100]}; {advice}") from None
    work.student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    progress = Progress(**state["progress"])
    if work.accelerator.is_main_process:
        work.journal.cut(progress.journal_bytes)
    return progress
