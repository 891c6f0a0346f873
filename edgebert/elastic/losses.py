"""The losses of DynaBERT (arXiv 2004.04037, section 2.2), as sums over texts and tokens.

Sums, not means: a batch that is split over devices and micro-batches then has the same gradients as one in one piece.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

UNLABELLED = -100


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of logits (batch, labels), or the squared error where there is one column of them.

    Texts whose label is UNLABELLED, or not a number, do not count.
    """
    if logits.shape[1] == 1:
        known = ~labels.float().isnan()
        return functional.mse_loss(logits.float()[known, 0], labels.float()[known], reduction="sum")
    return functional.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=UNLABELLED)


def logit_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the cross-entropy of the student's logits with the teacher's probabilities, each (batch, labels).

    Both are divided by the temperature, and the loss is multiplied by its square so that its gradients keep their size
    (Hinton et al. 2015). Where there is one column, which has no probabilities, it is the squared difference.
    """
    if student.shape[1] == 1:
        return functional.mse_loss(student.float(), teacher.float(), reduction="sum")
    probabilities = (teacher.float() / temperature).softmax(dim=-1)
    return temperature**2 * functional.cross_entropy(student.float() / temperature, probabilities, reduction="sum")


def hidden_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], layers: Sequence[int], mask: Tensor) -> Tensor:
    """Return the squared differences of hidden states (batch, length, hidden), averaged over the hidden size.

    `student` holds the input of each kept layer of `layers`, then the final output; `teacher` the same of all layers.
    Padding, where `mask` (batch, length) is 0, does not count.
    """
    matched = [*layers, len(teacher) - 1]
    total = torch.zeros((), device=mask.device)
    for ours, index in zip(student, matched, strict=True):
        difference = (ours.float() - teacher[index].float()).square().mean(dim=-1)
        total = total + (difference * mask).sum()
    return total
