"""The torch side of tasks: for each, the transformers model with its head, and what its targets look like.

To train another task, write its entry here. Knows nothing about families of models.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerBase,
)

from edgebert.elastic.answers import UNKNOWN, span_outputs, windows_of
from edgebert.elastic.embeddings import EmbeddingLosses, vectors_of
from edgebert.elastic.losses import LOSSES, UNLABELLED, Losses
from edgebert.elastic.model import ReadOutputs, outputs_by_name
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.tags import tag_outputs, tagged_texts
from edgebert.elastic.texts import Target, Texts, tokenise
from edgebert.exporters.cross_encoder import SIGMOID, problem_type_of
from edgebert.inputs.tokenization import Text
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task
from edgebert.tasks.tasks import TASKS
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification

# How transformers calls tasks that share a class of models.
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


# The task, the tokenizer, texts, the most tokens, and what is asked of each text.
TextsOf = Callable[[Task, PreTrainedTokenizerBase, Sequence[Text], int, Sequence[Any] | None], Texts]


def _whole_texts(
    _: Task, tokenizer: PreTrainedTokenizerBase, inputs: Sequence[Text], max_length: int, asked: Sequence[Any] | None
) -> Texts:
    return tokenise(tokenizer, inputs, max_length, asked)


@dataclass(frozen=True)
class TrainingHead:
    """How transformers builds and names a task's models, and what targets look like.

    `problem_type` tells tasks apart that share a class of models; None where only one has it. `unknown_target` returns,
    for so many labels, the target of a text whose label is not known. `labels_seen` returns the numbers of the labels
    that are asked for of some texts.
    `names` are those of a model's outputs where the task has no labels. `texts` makes token ids of texts that are at
    most so long, and of what is asked of them; `read_outputs` gives what losses and results are made of for the models
    of a folder, `losses` what is minimised. Without `has_labels` a network learns from another one alone.
    """

    problem_type: ProblemType | None
    unknown_target: Callable[[int], Target]
    labels_seen: Callable[[Sequence[Any]], set[int]]
    auto_class: type[
        AutoModel | AutoModelForSequenceClassification | AutoModelForQuestionAnswering | AutoModelForTokenClassification
    ] = AutoModelForSequenceClassification
    names: tuple[str, ...] = ()
    texts: TextsOf = _whole_texts
    read_outputs: Callable[[Path], ReadOutputs] = lambda _: outputs_by_name
    losses: Callable[[Task], Losses] = lambda task: LOSSES[task.LOSS]
    has_labels: bool = True

    @property
    def class_suffix(self) -> str:
        """How the names of the task's classes end, such as ForSequenceClassification."""
        return self.auto_class.__name__.removeprefix("AutoModel")


def _embedding_losses(task: Task) -> Losses:
    assert isinstance(task, SentenceEmbedding)
    return EmbeddingLosses(task.settings.dims)


TRAINING_HEADS: dict[str, TrainingHead] = {
    TextClassification.NAME: TrainingHead(
        problem_type="single_label_classification",
        unknown_target=lambda labels: math.nan if labels == 1 else UNLABELLED,
        # Of one label alone they are numbers, and what is above 0 has it.
        labels_seen=lambda targets: {
            target if isinstance(target, int) else 0
            for target in targets
            if isinstance(target, int) or (isinstance(target, float) and target > 0)
        },
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
    QuestionAnswering.NAME: TrainingHead(
        problem_type=None,
        unknown_target=lambda labels: UNKNOWN,
        labels_seen=lambda targets: set(),
        auto_class=AutoModelForQuestionAnswering,
        names=("LABEL_0", "LABEL_1"),  # as transformers calls where answers begin and end
        texts=windows_of,
        read_outputs=lambda _: span_outputs,
    ),
    SentenceEmbedding.NAME: TrainingHead(
        problem_type=None,
        unknown_target=lambda labels: math.nan,
        labels_seen=lambda targets: set(),
        auto_class=AutoModel,
        read_outputs=vectors_of,
        losses=_embedding_losses,
        has_labels=False,
    ),
    TokenClassification.NAME: TrainingHead(
        problem_type=None,
        unknown_target=lambda labels: [],
        labels_seen=lambda asked: {label for tags in asked for label in tags.labels},
        auto_class=AutoModelForTokenClassification,
        texts=tagged_texts,
        read_outputs=lambda _: tag_outputs,
    ),
}


def config_keys(task: Task) -> dict[str, Any]:
    """Return what a configuration of transformers says of a task, by the names of its keys."""
    head = TRAINING_HEADS[task.NAME]
    names = task.labels or head.names
    found = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        "problem_type": head.problem_type,
    }
    if task.NAME == TextClassification.NAME and len(names) == 1:
        # transformers knows no problem_type of one label but a regression; sentence-transformers has a key for it.
        return {**found, "problem_type": None, "sentence_transformers": {"activation_fn": SIGMOID}}
    return found


def fine_tuned_task(config: ModelConfig) -> Task | None:
    """Return the task that a checkpoint was fine-tuned for; None if it has no task's head yet."""
    # Where a configuration does not say, transformers trains one label as a regression, more as exclusive ones.
    silent = "regression" if len(config.labels) == 1 else "single_label_classification"
    # A configuration that was read from a folder knows which.
    folder = config.plain.name_or_path
    plain = config.plain.to_dict()
    found = problem_type_of(Path(folder), plain) if folder and Path(folder).is_dir() else plain.get("problem_type")
    problem_type = found or silent
    for kind in TASKS:
        head = TRAINING_HEADS[kind.NAME]
        if not head.has_labels:  # any network embeds texts
            continue
        # Within names, since XLNet's for answers ends in Simple.
        has_head = any(head.class_suffix in name for name in config.plain.architectures or ())
        if has_head and head.problem_type in (problem_type, None):
            return kind(() if head.names else config.labels)
    return None
