"""The error of an architecture before it is trained: how far a student of it comes in a few steps of distillation."""

import dataclasses
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from edgebert.elastic.bort.architecture import Architecture
from edgebert.elastic.bort.student import Embeddings, Nursery
from edgebert.elastic.data import Texts
from edgebert.elastic.losses import logit_loss
from edgebert.elastic.model import Output
from edgebert.elastic.stage import Compute
from edgebert.elastic.whole import Model
from edgebert.errors import TrainingError
from edgebert.records import Record

_SCORING_BATCH = 64
_LEAST_ERROR = 1e-6  # W divides by it


class Few(Record, frozen=True):
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


class Trial(Record, frozen=True):
    """The error that was found for an architecture."""

    architecture: Architecture
    error: float
    seconds: float


@dataclass(frozen=True)
class Lesson:
    """Texts that are cut and numbered anew, and what the teacher says to them: logits (texts, labels)."""

    texts: Texts
    taught: Tensor


@dataclass(frozen=True)
class Surrogate:
    """Trains students of any architecture for a few steps, all on the same texts in the same order.

    The error e of an architecture is the distillation loss per text on dev texts after `steps` steps of AdamW without
    dropout: the cross-entropy of a student's logits with the probabilities of the teacher, or for a regression their
    squared difference. Each student starts as it would in earnest: from random weights of the same seed, and with the
    teacher's `embeddings` if any. Its vocabulary holds only the words of these texts: other rows would learn nothing.
    """

    few: Few
    nursery: Nursery
    embeddings: Embeddings | None
    lessons: Sequence[Lesson]
    dev: Sequence[Lesson]
    vocabulary: int
    compute: Compute
    device: torch.device
    path: Path

    @classmethod
    def prepare(
        cls,
        few: Few,
        nursery: Nursery,
        teacher: Model,
        embeddings: Embeddings | None,
        texts: Texts,
        dev: Texts,
        *,
        compute: Compute,
        device: torch.device,
        path: Path,
    ) -> "Surrogate":
        """Draw the texts and ask the teacher about them; `path` is the journal of errors."""
        generator = random.Random(f"{nursery.seed} surrogate")
        wanted = few.steps * few.batch_size
        numbers: list[int] = []
        while len(numbers) < wanted:
            numbers += generator.sample(range(len(texts)), len(texts))
        batches = [numbers[start : start + few.batch_size] for start in range(0, wanted, few.batch_size)]
        of_dev = sorted(generator.sample(range(len(dev)), min(len(dev), few.dev_texts)))
        dev_batches = [of_dev[start : start + _SCORING_BATCH] for start in range(0, len(of_dev), _SCORING_BATCH)]
        chosen = [(texts, batch) for batch in batches] + [(dev, batch) for batch in dev_batches]
        cut = [_cut(source, batch, few.length) for source, batch in chosen]
        ids = sorted({texts.pad_id, *(token for one in cut for text in one.ids for token in text)})
        renamed = {token: number for number, token in enumerate(ids)}
        lessons = [Lesson(_renamed(one, renamed), _asked(teacher, one, compute, device)) for one in cut]
        return cls(
            few=few,
            nursery=dataclasses.replace(nursery, pad_id=renamed[texts.pad_id]),
            embeddings=embeddings.rows(ids) if embeddings else None,
            lessons=lessons[: len(batches)],
            dev=lessons[len(batches) :],
            vocabulary=len(ids),
            compute=compute,
            device=device,
            path=path,
        )

    def error(self, one: Architecture) -> float:
        """Return the error of an architecture, from the journal if it is there.

        Raises:
            TrainingError: the loss is no longer finite, or the memory is not enough.
        """
        known = {trial.architecture: trial.error for trial in read_trials(self.path)}
        if one in known:
            return known[one]
        start = time.monotonic()
        try:
            error = max(_LEAST_ERROR, self._train(one))
        except (RuntimeError, MemoryError) as problem:
            if isinstance(problem, RuntimeError) and "memory" not in str(problem):
                raise
            advice = "lower --surrogate-batch-size or give a space of smaller ones"
            raise TrainingError(f"out of memory with a surrogate of {one}; {advice}") from None
        if not error < float("inf"):
            raise TrainingError(f"the surrogate of {one} diverged; lower --surrogate-learning-rate")
        trial = Trial(one, round(error, 6), round(time.monotonic() - start, 2))
        with open(self.path, "ab") as file:
            file.write(msgspec.json.encode(trial) + b"\n")
        return trial.error

    def _train(self, one: Architecture) -> float:
        student = self.nursery.classifier(one, self.vocabulary).to(self.device).eval()  # no dropout
        if self.embeddings:
            self.embeddings.give(student)
        optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.0, fused=True)
        for step, lesson in enumerate(self.lessons):
            for group in optimizer.param_groups:
                group["lr"] = self.few.learning_rate * min(1.0, (step + 1) / max(1.0, self.few.warmup * self.few.steps))
            loss = self._loss(student, lesson) / len(lesson.texts)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        with torch.inference_mode():
            losses = [float(self._loss(student, lesson)) for lesson in self.dev]
        return sum(losses) / sum(len(lesson.texts) for lesson in self.dev)

    def _loss(self, student: Any, lesson: Lesson) -> Tensor:
        batch = lesson.texts.batch(range(len(lesson.texts)), self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute == "bf16"):
            logits = student(**batch.named()).logits
        return logit_loss(logits, lesson.taught)


def read_trials(path: Path) -> list[Trial]:
    """Return the errors in a journal; a line that was being written when the process was killed is cut off.

    Raises:
        TrainingError: it is damaged.
    """
    if not path.exists():
        return []
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        os.truncate(path, len(whole) + 1 if whole else 0)
    try:
        return [msgspec.json.decode(line, type=Trial) for line in whole.splitlines()]
    except msgspec.DecodeError as problem:
        raise TrainingError(f"{path} is damaged: {problem}; remove it to train the surrogates again") from None


def _cut(texts: Texts, numbers: Sequence[int], length: int) -> Texts:
    """Return some texts, of those that are longer the first tokens and the last."""

    def short(row: list[int]) -> list[int]:
        return row if len(row) <= length else [*row[: length - 1], row[-1]]

    return dataclasses.replace(
        texts,
        ids=[short(texts.ids[number]) for number in numbers],
        types=None if texts.types is None else [short(texts.types[number]) for number in numbers],
        labels=None,
    )


def _renamed(texts: Texts, numbers: Mapping[int, int]) -> Texts:
    """Return texts whose tokens have other numbers."""
    ids = [[numbers[token] for token in row] for row in texts.ids]
    return dataclasses.replace(texts, ids=ids, pad_id=numbers[texts.pad_id])


@torch.no_grad()
def _asked(teacher: Model, texts: Texts, compute: Compute, device: torch.device) -> Tensor:
    """Return the teacher's logits (texts, labels)."""
    batch = texts.batch(range(len(texts)), device)
    with torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16"):
        output: Output = teacher(batch.ids, batch.mask, teacher.subnet(), batch.types)
    return output.logits.float()
