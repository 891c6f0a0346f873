"""What is to be learnt: the task, and the texts to learn from, to distil on and to score with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from edgebert.elastic.embedding_data import (
    embedding_task,
    read_sentence_layers,
    scored_pairs,
    texts_to_distil,
    without_held_out,
)
from edgebert.elastic.heads import TRAINING_HEADS, fine_tuned_task
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.texts import Texts, tokenise
from edgebert.errors import TrainingError, listed, one_line, shortened
from edgebert.inputs.dataset import Example, read_examples
from edgebert.inputs.tokenization import Text
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task
from edgebert.tasks.tasks import DEFAULT_TASK, TASKS, kind_of

LENGTH = 128  # DynaBERT's


@dataclass(frozen=True)
class TrainingFiles:
    """The checkpoint that a training starts from, its data files, and the checkpoint `out` that it makes.

    `transfer` are files of more texts to distil on, which need no labels. Sentence embeddings are learnt from `texts`
    alone, and scored on pairs with a number, if there are any.
    """

    model: Path
    train: Path | None
    dev: Path | None
    out: Path
    transfer: tuple[Path, ...] = ()
    texts: tuple[Path, ...] = ()

    @property
    def origin(self) -> str:
        """The name of the checkpoint that the training starts from."""
        return one_line(self.model.resolve().name)

    @property
    def data(self) -> tuple[Path, ...]:
        """All data files."""
        return tuple(filter(None, (self.train, self.dev, *self.transfer, *self.texts)))


@dataclass(frozen=True)
class TaskChoice:
    """What a user says of the task: its name, and the labels in their order; None where the data are to tell.

    `dims` are the fewer dimensions that embeddings are learnt for.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    dims: tuple[int, ...] | None = None

    def resolve(self, checkpoint: Path, config: ModelConfig, rows: Sequence[Example]) -> Task:
        """Return the task that a checkpoint was fine-tuned for, else the one asked for, by default the one of the rows.

        Labels that are not given are those of the training rows.

        Raises:
            TrainingError: the checkpoint was fine-tuned for another task, or has another number of labels.
            EdgeBertError: rows show no labels of the task.
        """
        found = fine_tuned_task(config)
        if found is None:
            kind = kind_of(self.name, TrainingError) if self.name else _kind_of_rows(rows)
            self._check_no_labels(kind)
            return kind(self.labels or kind.labels_in(rows))
        # What a head was trained for stays; only its labels may get other names.
        if self.name not in (None, found.NAME):
            advice = f"use --task {found.NAME}, or start from another checkpoint"
            raise TrainingError(f"{checkpoint} is fine-tuned for {found.NAME}, not for {self.name}; {advice}")
        self._check_no_labels(type(found))
        if self.labels and len(self.labels) != len(found.labels):
            counts = f"has {len(found.labels)} labels, --labels names {len(self.labels)}"
            raise TrainingError(f"{checkpoint} {counts}; name them all")
        return type(found)(self.labels) if self.labels else found

    def _check_no_labels(self, kind: type[Task]) -> None:
        if self.labels and TRAINING_HEADS[kind.NAME].names:
            raise TrainingError(f"expected no labels for {kind.NAME}, found {listed(self.labels)}; leave out --labels")


@dataclass(frozen=True)
class TrainingData:
    """A task, and its texts: to learn from (`inputs` as they were read), to score with, and to distil on.

    They have at most `max_length` tokens.
    """

    task: Task
    max_length: int
    inputs: Sequence[Text]
    train: Texts
    dev: Texts
    distil: Texts


def read_training_data(
    files: TrainingFiles, config: ModelConfig, tokenizer: PreTrainedTokenizerBase, choice: TaskChoice, asked: int | None
) -> TrainingData:
    """Read the data files of a training, with texts of at most `asked` tokens, or as many as is usual.

    Raises:
        TrainingError: labels, columns and checkpoint do not go together.
        EdgeBertError: a file cannot be read, or a row has no label of the task.
    """
    if files.texts:
        return _embedding_data(files, config, tokenizer, choice, asked)
    if files.train is None or files.dev is None or choice.dims:
        expected = "expected --train and --dev, or --texts for sentence embeddings, whose --dims may be given"
        raise TrainingError(f"{expected}, found other files; give these")
    rows = {path: list(read_examples(path)) for path in files.data}
    for path, found in rows.items():
        if (found[0].pair is None) != (rows[files.train][0].pair is None):
            expected = f"expected pairs in all data files or in none, as in {files.train}"
            raise TrainingError(f"{path}: {expected}; give files of one kind")
    task = choice.resolve(files.model, config, rows[files.train])
    max_length = checked_length(config, asked, task.USUAL_LENGTH or LENGTH)
    special = tokenizer.num_special_tokens_to_add(pair=rows[files.train][0].pair is not None)
    if max_length <= special:
        expected = f"expected a maximum length above the {special} tokens around every text"
        raise TrainingError(f"{expected}, found {max_length}; give a larger --max-length")
    texts_of = TRAINING_HEADS[task.NAME].texts

    def labelled(path: Path) -> Texts:
        asked_of = [task.target(row) for row in rows[path]]
        return texts_of(task, tokenizer, [row.input for row in rows[path]], max_length, asked_of)

    train = labelled(files.train)
    _check_all_labels_occur(task, train, files.train)
    to_distil = [row.input for path in (files.train, *files.transfer) for row in rows[path]]
    return TrainingData(
        task=task,
        max_length=max_length,
        inputs=[row.input for row in rows[files.train]],
        train=train,
        dev=labelled(files.dev),
        distil=texts_of(task, tokenizer, to_distil, max_length, None),
    )


def _embedding_data(
    files: TrainingFiles, config: ModelConfig, tokenizer: PreTrainedTokenizerBase, choice: TaskChoice, asked: int | None
) -> TrainingData:
    """Return the data of sentence embeddings."""
    if files.train or files.transfer or choice.labels or choice.name not in (None, SentenceEmbedding.NAME):
        expected = f"expected --texts and perhaps --dev for {SentenceEmbedding.NAME}, which has no labels"
        raise TrainingError(f"{expected}, found other files, labels or another task; leave them out")
    layers = read_sentence_layers(files.model, config.hidden)
    task = embedding_task(layers, config.hidden, choice.dims)
    max_length = checked_length(config, asked)
    learnt = texts_to_distil(files.texts)
    if files.dev:
        dev = scored_pairs(task, files.dev, tokenizer, max_length)
    else:
        learnt, held_out = without_held_out(learnt)
        dev = tokenise(tokenizer, held_out, max_length)
    texts = tokenise(tokenizer, learnt, max_length)
    return TrainingData(
        task=task,
        max_length=max_length,
        inputs=learnt,
        train=texts,
        dev=dev,
        distil=texts,
    )


def _kind_of_rows(rows: Sequence[Example]) -> type[Task]:
    """Return the task that all rows say they are of; where they say nothing, the first of all."""
    return next((kind for kind in TASKS if all(map(kind.is_meant_by, rows))), DEFAULT_TASK)


def _check_all_labels_occur(task: Task, train: Texts, path: Path) -> None:
    # Of a label alone: the loss is that of a probability.
    if task.LOSS == "binary-cross-entropy":
        wrong = next((one for one in train.targets or () if isinstance(one, float) and not 0 <= one <= 1), None)
        if wrong is not None:
            advice = "divide all by the largest, or use --task text-regression"
            raise TrainingError(
                f"{path}: expected labels from 0 to 1 for '{task.labels[0]}', found {wrong:g}; {advice}"
            )
    # A label that no row teaches would be answered at random.
    seen = TRAINING_HEADS[task.NAME].labels_seen((train.windows.asked if train.windows else train.targets) or [])
    for number, label in enumerate(task.labels):
        if number not in seen:
            raise TrainingError(f"{path}: expected rows of every label, found none with '{shortened(label)}'; add some")


def checked_length(config: ModelConfig, max_length: int | None, usual: int = LENGTH) -> int:
    """Return the tokens that a text is cut at: by default the usual number, or as many as the checkpoint takes.

    More than it takes are a TrainingError.
    """
    longest = config.positions
    if not longest:  # XLNet's positions are relative, and any length goes
        return max_length or usual
    if max_length is not None and max_length > longest:
        found = f"expected a maximum length of at most {longest} tokens, found {max_length}"
        raise TrainingError(f"{found}; give a smaller --max-length")
    return max_length or min(usual, longest)
