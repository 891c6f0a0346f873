"""How weights are changed in a step: AdamW, its learning rate over a stage, and the seed of what is random in it."""

import hashlib

import torch
from torch import nn

from edgebert.elastic.stage import Stage, TrainingSettings


def make_optimizer(student: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return AdamW, with weight decay for matrices only."""
    learning = [parameter for parameter in student.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learning if parameter.ndim > 1]
    vectors = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, fused=True)


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


def seed_of(*parts: object) -> int:
    """Return a seed for dropout that depends on the place in the training alone, so that it needs no state."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
