"""Logits to scores, by the rules of transformers' text-classification pipeline."""

import numpy as np
from numpy.typing import NDArray

from edgebert.inputs.bundle import Task


def scores_of(logits: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Return scores (batch, labels) of logits, by the rules of transformers' text-classification pipeline.

    Softmax over several labels; a sigmoid each for one label or for labels that do not exclude each other; the bare
    number for a regression.
    """
    if task == "text-regression":
        return logits
    if task == "multi-label-text-classification" or logits.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits)))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def confidences(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score (batch,) of the label that each row of logits (batch, labels) finds, of labels that exclude
    each other."""
    return np.asarray(scores_of(logits, "text-classification").max(axis=1))
