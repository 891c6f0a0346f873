"""The error of an architecture before it is trained: how far a student of it comes in a few steps of distillation."""

import dataclasses
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgebert.elastic.bort.architecture import Architecture
from edgebert.elastic.bort.student import StudentBuilder, TeacherEmbeddings
from edgebert.elastic.losses import LOSSES
from edgebert.elastic.model import Model, ModelOutput, autocast
from edgebert.elastic.stage import Compute
from edgebert.elastic.stage_training import memory_explained, take_step, warmed_up
from edgebert.elastic.texts import Target, Texts, in_parts
from edgebert.errors import TrainingError
from edgebert.journal import Journal
from edgebert.records import Record

_SCORING_BATCH = 64
_LEAST_ERROR = 1e-6  # W divides by it


class SurrogateSettings(Record, frozen=True):
    """How a surrogate is trained: so many steps with batches of so many texts of at most so many tokens."""

    steps: int = 48
    batch_size: int = 8
    length: int = 24
    dev_texts: int = 256
    learning_rate: float = 2e-4
    warmup: float = 0.1

    def __str__(self) -> str:
        texts = f"{self.batch_size} texts of up to {self.length} tokens"
        return f"distillation loss on {self.dev_texts} dev texts after {self.steps} steps of {texts}"


class SurrogateTrial(Record, frozen=True):
    """The error that was found for an architecture."""

    architecture: Architecture
    error: float
    seconds: float


def trials_in(path: Path) -> Journal[SurrogateTrial]:
    """Return the journal of errors in a file."""
    return Journal[SurrogateTrial](path, SurrogateTrial, TrainingError)


@dataclass(frozen=True)
class TeacherRun:
    """A teacher, and how it is run."""

    model: Model
    compute: Compute
    device: torch.device

    @torch.no_grad()
    def answers(self, texts: Texts) -> list[list[float]]:
        """Return the logits of each of some texts, in one batch."""
        batch = texts.batch(range(len(texts)), self.device)
        with autocast(self.device, self.compute):
            output: ModelOutput = self.model(batch.ids, batch.mask, self.model.subnet(), batch.types)
        answers: list[list[float]] = output.logits.float().tolist()
        return answers


class Surrogate:
    """Trains students of any architecture for a few steps, all on the same texts in the same order.

    The error e of an architecture is the distillation loss per text on dev texts after `steps` steps of AdamW without
    dropout. Each student starts as it would in earnest: from random weights of the same seed, and with the teacher's
    `embeddings` if any. Its vocabulary holds only the words of these texts: other rows would learn nothing. Their
    targets are the teacher's logits.
    """

    def __init__(
        self,
        settings: SurrogateSettings,
        builder: StudentBuilder,
        teacher: TeacherRun,
        embeddings: TeacherEmbeddings | None,
        texts: Texts,
        dev: Texts,
        path: Path,
    ):
        """Draw the texts and ask the teacher about them; `path` is the journal of errors."""
        generator = random.Random(f"{builder.seed} surrogate")
        train_batches = _drawn_batches(generator, len(texts), settings)
        dev_numbers = sorted(generator.sample(range(len(dev)), min(len(dev), settings.dev_texts)))
        dev_batches = in_parts(dev_numbers, _SCORING_BATCH)

        chosen = [(texts, batch) for batch in train_batches] + [(dev, batch) for batch in dev_batches]
        cut = [_cut(source, batch, settings.length) for source, batch in chosen]
        # Tokens that do not occur need no embeddings, which are most of a small student's parameters.
        ids = sorted({texts.pad_id, *(token for one in cut for text in one.ids for token in text)})
        renumbered = {token: number for number, token in enumerate(ids)}
        taught = [_renumbered(one, renumbered, teacher.answers(one)) for one in cut]
        self._batches, self._dev = taught[: len(train_batches)], taught[len(train_batches) :]
        self._builder = dataclasses.replace(builder, pad_id=renumbered[texts.pad_id])
        self._embeddings = embeddings.rows(ids) if embeddings else None
        self._settings, self._teacher, self._vocabulary = settings, teacher, len(ids)
        self._journal = trials_in(path)

    def error(self, one: Architecture) -> float:
        """Return the error of an architecture, from the journal if it is there.

        Raises:
            TrainingError: the loss is no longer finite, or the memory is not enough.
        """
        known = {trial.architecture: trial.error for trial in self._journal.read()}
        if one in known:
            return known[one]
        start = time.monotonic()
        advice = "lower --surrogate-batch-size or give a space of smaller ones"
        with memory_explained(f"a surrogate of {one}; {advice}"):
            error = max(_LEAST_ERROR, self._train(one))
        if not error < float("inf"):
            raise TrainingError(f"the surrogate of {one} diverged; lower --surrogate-learning-rate")

        trial = SurrogateTrial(one, round(error, 6), round(time.monotonic() - start, 2))
        self._journal.append(trial)
        return trial.error

    def _train(self, one: Architecture) -> float:
        model = self._builder.classifier(one, self._vocabulary)
        if self._embeddings:
            self._embeddings.copy_into(model)
        student: nn.Module = model
        student.to(self._teacher.device).eval()  # no dropout
        optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.0, fused=True)
        for step, texts in enumerate(self._batches, 1):
            torch.autograd.backward(self._loss(student, texts) / len(texts))
            rate = warmed_up(self._settings.learning_rate, self._settings.warmup, step, self._settings.steps)
            take_step(student, optimizer, rate, clip_norm=1.0)

        with torch.inference_mode():
            losses = [float(self._loss(student, texts)) for texts in self._dev]
        return sum(losses) / sum(map(len, self._dev))

    def _loss(self, student: nn.Module, texts: Texts) -> Tensor:
        batch = texts.batch(range(len(texts)), self._teacher.device)
        assert batch.targets is not None, "the teacher has answered"
        types = {} if batch.types is None else {"token_type_ids": batch.types}
        with autocast(self._teacher.device, self._teacher.compute):
            logits = student(input_ids=batch.ids, attention_mask=batch.mask, **types).logits
        return LOSSES[self._builder.task.LOSS].of_teacher(logits, batch.targets)


def _drawn_batches(generator: random.Random, count: int, settings: SurrogateSettings) -> list[list[int]]:
    """Return the numbers of the texts of each step, of so many that there are: all come before one comes again."""
    wanted = settings.steps * settings.batch_size
    numbers: list[int] = []
    while len(numbers) < wanted:
        numbers += generator.sample(range(count), count)
    return in_parts(numbers[:wanted], settings.batch_size)


def _cut(texts: Texts, numbers: Sequence[int], length: int) -> Texts:
    """Return some texts, of those that are longer the first tokens and the last."""

    def short(row: list[int]) -> list[int]:
        # The last is the separator, with which all texts end.
        return row if len(row) <= length else [*row[: length - 1], row[-1]]

    some = texts.some(numbers)
    types = None if some.types is None else list(map(short, some.types))
    return dataclasses.replace(some, ids=list(map(short, some.ids)), types=types)


def _renumbered(texts: Texts, numbers: Mapping[int, int], targets: Sequence[Target]) -> Texts:
    """Return texts whose tokens have other numbers, with targets."""
    ids = [[numbers[token] for token in row] for row in texts.ids]
    return dataclasses.replace(texts, ids=ids, pad_id=numbers[texts.pad_id], targets=targets)
