"""The torch side of tasks: for each, the transformers model with its head, and what training minimises.

To train another task, write its entry here. Knows nothing about families of models.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from transformers import AutoModelForSequenceClassification

from edgebert.elastic import losses
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.texts import Target
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Loss, Task
from edgebert.tasks.tasks import TASKS
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression

# How transformers calls tasks that share a class of models.
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


@dataclass(frozen=True)
class LossFunctions:
    """What is minimised: a sum over the texts of a batch.

    `of_targets` takes logits (batch, labels) and targets, `of_teacher` the student's logits, the teacher's and a
    temperature.
    """

    of_targets: Callable[[Tensor, Tensor], Tensor]
    of_teacher: Callable[[Tensor, Tensor, float], Tensor]


# What training a task minimises, by the task's LOSS.
LOSSES: dict[Loss, LossFunctions] = {
    "cross-entropy": LossFunctions(losses.cross_entropy, losses.soft_cross_entropy),
    "binary-cross-entropy": LossFunctions(losses.binary_cross_entropy, losses.soft_binary_cross_entropy),
    "squared-error": LossFunctions(losses.squared_error, losses.squared_difference),
}


@dataclass(frozen=True)
class TrainingHead:
    """How transformers builds and names a task's models, and what targets look like.

    `problem_type` tells tasks apart that share a class of models. `unknown_target` returns, for so many labels, the
    target of a text whose label is not known. `labels_seen` returns the numbers of the labels that some targets teach.
    """

    problem_type: ProblemType
    unknown_target: Callable[[int], Target]
    labels_seen: Callable[[Sequence[Target]], set[int]]
    auto_class: type[AutoModelForSequenceClassification] = AutoModelForSequenceClassification

    @property
    def class_suffix(self) -> str:
        """How the names of the task's classes end, such as ForSequenceClassification."""
        return self.auto_class.__name__.removeprefix("AutoModel")


TRAINING_HEADS: dict[str, TrainingHead] = {
    TextClassification.NAME: TrainingHead(
        problem_type="single_label_classification",
        unknown_target=lambda labels: losses.UNLABELLED,
        labels_seen=lambda targets: {target for target in targets if isinstance(target, int)},
    ),
    MultiLabelTextClassification.NAME: TrainingHead(
        problem_type="multi_label_classification",
        unknown_target=lambda labels: [math.nan] * labels,
        labels_seen=lambda targets: {
            number for row in targets if isinstance(row, list) for number, value in enumerate(row) if value > 0
        },
    ),
    TextRegression.NAME: TrainingHead(
        problem_type="regression", unknown_target=lambda labels: math.nan, labels_seen=lambda targets: {0}
    ),
}


def fine_tuned_task(config: ModelConfig) -> Task | None:
    """Return the task that a checkpoint was fine-tuned for; None if it has no task's head yet."""
    # Where a configuration does not say, transformers trains one label as a regression.
    problem_type = config.problem_type or ("regression" if len(config.labels) == 1 else "single_label_classification")
    for kind in TASKS:
        head = TRAINING_HEADS[kind.NAME]
        if head.problem_type == problem_type and any(name.endswith(head.class_suffix) for name in config.architectures):
            return kind(config.labels)
    return None
