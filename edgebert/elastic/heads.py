"""The torch side of tasks: for each, the transformers model with its head, and what its targets look like.

To train another task, write its entry here. Knows nothing about families of models.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from edgebert.elastic.losses import UNLABELLED
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.texts import Target, TargetOf
from edgebert.inputs.tokenization import Tokens
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Task
from edgebert.tasks.tasks import TASKS
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification, WordTags, first_tokens

# How transformers calls tasks that share a class of models.
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


@dataclass(frozen=True)
class TrainingHead:
    """How transformers builds and names a task's models, and what targets look like.

    `problem_type` tells tasks apart that share a class of models; None where there is only one. `unknown_target`
    returns, for so many labels, the target of a text whose label is not known. `labels_seen` returns the numbers of the
    labels that some targets teach, as the task gives them. `target_of` makes of one, and of the tokens of its text, what
    the loss compares outputs with; None where that is the same.
    """

    problem_type: ProblemType | None
    unknown_target: Callable[[int], Target]
    labels_seen: Callable[[Sequence[Any]], set[int]]
    auto_class: type[AutoModelForSequenceClassification | AutoModelForTokenClassification] = (
        AutoModelForSequenceClassification
    )
    target_of: TargetOf | None = None

    @property
    def class_suffix(self) -> str:
        """How the names of the task's classes end, such as ForSequenceClassification."""
        return self.auto_class.__name__.removeprefix("AutoModel")


def _token_targets(target: WordTags, tokens: Tokens) -> list[int]:
    """Return the label of each word for its first token, UNLABELLED for all other tokens (Devlin et al. 2019)."""
    targets = [UNLABELLED] * len(tokens.ids)
    for place, label in zip(first_tokens(tokens.spans, target.words), target.labels, strict=True):
        if place is not None:
            targets[place] = label
    return targets


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
    TokenClassification.NAME: TrainingHead(
        problem_type=None,
        unknown_target=lambda labels: [],
        labels_seen=lambda targets: {label for target in targets for label in target.labels},
        auto_class=AutoModelForTokenClassification,
        target_of=_token_targets,
    ),
}


def fine_tuned_task(config: ModelConfig) -> Task | None:
    """Return the task that a checkpoint was fine-tuned for; None if it has no task's head yet."""
    # Where a configuration does not say, transformers trains one label as a regression, more as exclusive ones.
    silent = "regression" if len(config.labels) == 1 else "single_label_classification"
    problem_type = config.plain.problem_type or silent
    for kind in TASKS:
        head = TRAINING_HEADS[kind.NAME]
        has_head = any(name.endswith(head.class_suffix) for name in config.plain.architectures or ())
        if has_head and head.problem_type in (problem_type, None):
            return kind(config.labels)
    return None
