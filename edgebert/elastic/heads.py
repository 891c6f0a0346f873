"""The torch side of tasks: for each, the transformers model with its head, and what its targets look like.

To train another task, write its entry here. Knows nothing about families of models.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import AutoModelForSequenceClassification

from edgebert.elastic.losses import UNLABELLED
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.texts import Target
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Task
from edgebert.tasks.tasks import TASKS
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression

# How transformers calls tasks that share a class of models.
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


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
        unknown_target=lambda labels: UNLABELLED,
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
    # Where a configuration does not say, transformers trains one label as a regression, more as exclusive ones.
    silent = "regression" if len(config.labels) == 1 else "single_label_classification"
    problem_type = config.plain.problem_type or silent
    for kind in TASKS:
        head = TRAINING_HEADS.get(kind.NAME)
        if head is None:
            continue
        has_head = any(name.endswith(head.class_suffix) for name in config.plain.architectures or ())
        if has_head and head.problem_type == problem_type:
            return kind(config.labels)
    return None
