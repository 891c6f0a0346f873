"""The losses of training, as sums over texts and tokens.

Sums, not means: a batch that is split over devices and micro-batches then has the same gradients as one in one piece.
Logits are (batch, labels), of answers (batch, 2, length), of tokens (batch, length, labels). What has no known target
does not count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from edgebert.tasks.task import Loss

UNLABELLED = -100  # what torch's cross-entropy passes over


# What a network puts out for a batch, by name.
TensorOutputs = Mapping[str, Tensor]


class Losses(Protocol):
    """What training a task minimises, from what networks put out for a batch of texts.

    Those of targets and of a teacher are sums over texts, with `of_tokens` over their tokens.
    """

    @property
    def of_tokens(self) -> bool:
        """Whether losses are sums over tokens."""

    @property
    def moves_full(self) -> bool:
        """Whether the full network learns from what others put out too, beside what it puts out itself."""

    def for_ranking(self, outputs: TensorOutputs, targets: Tensor | None) -> Tensor:
        """Return what heads and neurons are ranked by, a sum over texts: how much it changes without one."""

    def of_targets(self, outputs: TensorOutputs, targets: Tensor) -> Tensor:
        """Return the loss with what texts ask for."""

    def of_teacher(
        self, student: TensorOutputs, teacher: TensorOutputs, full: TensorOutputs, temperature: float
    ) -> Tensor:
        """Return the loss with a teacher; `full` is what the full network puts out, of that one itself the teacher."""


@dataclass(frozen=True)
class LogitLosses:
    """The losses of tasks with logits: with targets, and with the logits of a teacher."""

    of_wanted: Callable[[Tensor, Tensor], Tensor]
    of_logits: Callable[[Tensor, Tensor], Tensor]
    of_tokens: bool = False
    moves_full: bool = False

    def of_targets(self, outputs: TensorOutputs, targets: Tensor) -> Tensor:
        """Return the loss of logits with targets."""
        return self.of_wanted(outputs["logits"], targets)

    def for_ranking(self, outputs: TensorOutputs, targets: Tensor | None) -> Tensor:
        """Return the loss of logits with targets."""
        assert targets is not None, "importance is for a loss of labels"
        return self.of_targets(outputs, targets)

    def of_teacher(
        self, student: TensorOutputs, teacher: TensorOutputs, full: TensorOutputs, temperature: float = 1.0
    ) -> Tensor:
        """Return the loss of a student's logits with a teacher's, both divided by a temperature.

        It is multiplied by the temperature's square so that its gradients keep their size (Hinton et al. 2015).
        """
        ours, right = (outputs["logits"].float() / temperature for outputs in (student, teacher))
        return temperature**2 * self.of_logits(ours, right)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy with the numbers of the right labels, (batch,); UNLABELLED where none is known."""
    return functional.cross_entropy(logits.float(), targets, reduction="sum", ignore_index=UNLABELLED)


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy of the student's logits with the teacher's probabilities."""
    return functional.cross_entropy(student, teacher.softmax(dim=-1), reduction="sum")


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy of each label, summed over labels; targets (batch, labels) are 0, 1 or NaN."""
    targets = targets.reshape(logits.shape)  # of one label alone they may be (batch,)
    known = ~targets.isnan()
    return functional.binary_cross_entropy_with_logits(logits.float()[known], targets.float()[known], reduction="sum")


def soft_binary_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the binary cross-entropy with the teacher's probability of each label."""
    return functional.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="sum")


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of one logit a text; targets (batch,) may be NaN."""
    known = ~targets.isnan()  # any number may be a target
    return functional.mse_loss(logits.float()[known, 0], targets.float()[known], reduction="sum")


def span_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of the cross-entropies of where an answer begins and ends: targets (batch, 2) are tokens' places.

    Logits are (batch, 2, length).
    """
    return cross_entropy(logits.flatten(0, 1), targets.flatten()) / 2


def soft_span_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean of the cross-entropies of both with the teacher's probabilities."""
    return soft_cross_entropy(student.flatten(0, 1), teacher.flatten(0, 1)) / 2


def token_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each token with the number of its label, (batch, tokens) of at most the length."""
    numbers = functional.pad(targets.long(), (0, logits.shape[1] - targets.shape[1]), value=UNLABELLED)
    return cross_entropy(logits.flatten(0, 1), numbers.flatten())


def soft_token_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy of each token with the teacher's probabilities.

    The teacher knows labels of all tokens, also of those that have no target, such as later parts of words.
    """
    return soft_cross_entropy(student.flatten(0, 1), teacher.flatten(0, 1))


# By the task's LOSS.
LOSSES: dict[Loss, LogitLosses] = {
    "span-cross-entropy": LogitLosses(span_cross_entropy, soft_span_cross_entropy),
    "cross-entropy": LogitLosses(cross_entropy, soft_cross_entropy),
    "binary-cross-entropy": LogitLosses(binary_cross_entropy, soft_binary_cross_entropy),
    "squared-error": LogitLosses(squared_error, partial(functional.mse_loss, reduction="sum")),
    "token-cross-entropy": LogitLosses(token_cross_entropy, soft_token_cross_entropy, of_tokens=True),
}


def hidden_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], layers: Sequence[int], mask: Tensor) -> Tensor:
    """Return the squared differences of hidden states (batch, length, hidden), averaged over the hidden size.

    `student` holds the input of each kept layer of `layers`, then the final output; `teacher` the same of all layers
    (DynaBERT, arXiv 2004.04037, section 2.2). Padding, where `mask` (batch, length) is 0, does not count.
    """
    matched = [*layers, len(teacher) - 1]
    total = torch.zeros((), device=mask.device)
    for ours, index in zip(student, matched, strict=True):
        difference = (ours.float() - teacher[index].float()).square().mean(dim=-1)
        total = total + (difference * mask).sum()
    return total
