"""The score of sub-networks on labelled texts: accuracy, or Pearson's correlation for a regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edgebert.elastic.data import Texts
from edgebert.elastic.losses import label_loss
from edgebert.elastic.whole import Model
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class Score:
    """How well a sub-network does: the score, higher is better, and the loss per text."""

    score: float
    loss: float


@torch.inference_mode()
def score(model: Model, subnet: Subnet, texts: Texts, batch_size: int, device: torch.device) -> Score:
    """Return the score of one sub-network on labelled texts, in fp32 and without dropout."""
    training = model.training
    model.eval()
    predicted: list[float] = []
    wanted: list[float] = []
    loss = 0.0
    for batch in texts.all_batches(batch_size, device):
        assert batch.labels is not None, "scores need labels"
        logits = model(batch.ids, batch.mask, subnet, batch.types).logits
        loss += float(label_loss(logits, batch.labels))
        predicted += (logits.argmax(dim=-1) if logits.shape[1] > 1 else logits[:, 0]).tolist()
        wanted += batch.labels.tolist()
    model.train(training)
    measure = accuracy if model.config.num_labels > 1 else pearson
    return Score(measure(predicted, wanted), loss / len(texts))


def accuracy(predicted: Sequence[float], wanted: Sequence[float]) -> float:
    """Return the share of predictions that are as wanted."""
    return sum(map(float.__eq__, map(float, predicted), map(float, wanted))) / len(wanted)


def pearson(predicted: Sequence[float], wanted: Sequence[float]) -> float:
    """Return the linear correlation of predicted and wanted numbers; 0 where one of them is constant."""
    if np.ptp(predicted) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(np.corrcoef(predicted, wanted)[0, 1])
