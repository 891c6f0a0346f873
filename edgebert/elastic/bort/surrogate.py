"""The error of an architecture before it is trained: how far a student of it comes in a few steps of distillation."""

import dataclasses
import random
import time
from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor

from edgebert.elastic.bort.architecture import Architecture
from edgebert.elastic.bort.architecture_search import SurrogateSettings
from edgebert.elastic.bort.student import StudentBuilder
from edgebert.elastic.model import Model, ModelOutput, autocast
from edgebert.elastic.stage_training import memory_explained, take_step, warmed_up
from edgebert.elastic.texts import TensorBatch, Texts, in_parts
from edgebert.elastic.training_run import TrainingRun
from edgebert.errors import TrainingError
from edgebert.journal import Journal
from edgebert.records import NotNegative, Positive, Record

TRIALS = "surrogates.jsonl"
_SCORING_BATCH = 64
_LEAST_ERROR = 1e-6  # W divides by it


class SurrogateTrial(Record, frozen=True):
    """The error that was found for an architecture."""

    architecture: Architecture
    error: Positive
    seconds: NotNegative


class Surrogate:
    """Trains students of any architecture for a few steps, all on the same texts in the same order.

    The error e of an architecture is the distillation loss per text on dev texts after `steps` steps of AdamW without
    dropout. Each student starts as it would in earnest: from random weights of the same seed, and with the teacher's
    embeddings if the builder has them.
    """

    def __init__(self, settings: SurrogateSettings, run: TrainingRun, builder: StudentBuilder, teacher: Model):
        """Draw texts of a run and ask the teacher about them."""
        self._settings, self._run = settings, run
        self._journal = Journal[SurrogateTrial](run.folder.path / TRIALS, SurrogateTrial, TrainingError)
        self._known = {trial.architecture: trial.error for trial in self._journal.read()}
        texts, dev = run.data.distil, run.data.dev
        # By the seed alone, so that errors in the journal and those after an interruption are of the same texts.
        generator = random.Random(f"{builder.seed} surrogate")
        train_batches = _drawn_batches(generator, len(texts), settings)
        dev_numbers = sorted(generator.sample(range(len(dev)), min(len(dev), settings.dev_texts)))

        drawn = [_cut(texts, batch, settings.length) for batch in train_batches]
        drawn += [_cut(dev, batch, settings.length) for batch in in_parts(dev_numbers, _SCORING_BATCH)]
        taught = [self._taught(teacher, some) for some in drawn]
        # Tokens that do not occur need no embeddings, which are most of a small student's parameters. The others are
        # sorted, since their places are their new numbers.
        ids = torch.tensor(sorted({texts.pad_id, *(token for some in drawn for text in some.ids for token in text)}))
        renumbered = [dataclasses.replace(one, ids=torch.searchsorted(ids.to(one.ids), one.ids)) for one in taught]
        self._batches, self._dev = renumbered[: len(train_batches)], renumbered[len(train_batches) :]
        self._builder = dataclasses.replace(
            builder,
            sizes=msgspec.structs.replace(builder.sizes, vocabulary=len(ids)),
            pad_id=int(torch.searchsorted(ids, texts.pad_id)),
            embeddings=builder.embeddings and builder.embeddings.rows(ids.tolist()),
        )

    def _taught(self, teacher: Model, texts: Texts) -> TensorBatch:
        """Return texts in one batch whose targets are the teacher's logits."""
        batch = texts.batch(range(len(texts)), self._run.folder.accelerator.device)
        with torch.no_grad():
            return dataclasses.replace(batch, targets=self._logits(teacher, batch).float())

    def _logits(self, model: Model, batch: TensorBatch) -> Tensor:
        with autocast(self._run.folder.accelerator.device, self._run.settings.compute):
            output: ModelOutput = model(batch.ids, batch.mask, model.subnet(), batch.types)
        return output.logits

    def error(self, one: Architecture) -> float:
        """Return the error of an architecture, from the journal if it is there.

        Raises:
            TrainingError: the loss is no longer finite, or the memory is not enough.
        """
        if one in self._known:
            return self._known[one]
        start = time.monotonic()
        advice = "lower --surrogate-batch-size or give a space of smaller ones"
        with memory_explained(f"a surrogate of {one}; {advice}"):
            error = max(_LEAST_ERROR, self._train(one))
        if not error < float("inf"):  # nor is NaN
            raise TrainingError(f"the surrogate of {one} diverged; lower --surrogate-learning-rate")

        trial = SurrogateTrial(one, round(error, 6), round(time.monotonic() - start, 2))
        self._journal.append(trial)
        return trial.error

    def _train(self, one: Architecture) -> float:
        settings = self._settings
        # Without dropout, as in the distillation in earnest.
        student = Model(self._builder.student(one)).to(self._run.folder.accelerator.device).eval()
        optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.0, fused=True)
        for step, batch in enumerate(self._batches, 1):
            torch.autograd.backward(self._loss(student, batch) / len(batch.ids))
            rate = warmed_up(settings.learning_rate, settings.warmup, step, settings.steps)
            take_step(student, optimizer, rate, clip_norm=1.0)

        with torch.inference_mode():
            losses = [float(self._loss(student, batch)) for batch in self._dev]
        return sum(losses) / sum(len(batch.ids) for batch in self._dev)

    def _loss(self, student: Model, batch: TensorBatch) -> Tensor:
        assert batch.targets is not None, "the teacher has answered"
        ours, right = {"logits": self._logits(student, batch)}, {"logits": batch.targets}
        return self._run.losses.of_teacher(ours, right, right, temperature=1.0)


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
