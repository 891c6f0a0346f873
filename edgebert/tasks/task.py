"""What every task answers for: which rows it reads, what a graph puts out, what an answer is and how good it is.

A task is a value: its kind, one class in a file of its own, and its labels. Knows neither files nor how graphs are run.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError, OutputError, listed
from edgebert.inputs.dataset import Example
from edgebert.tasks.metrics import Interval

# What a graph puts out, by name: float32, (batch, ...).
Outputs = dict[str, NDArray[np.float32]]
Scores = NDArray[np.float32]
# One text's answer, in the form of the transformers pipeline of its task.
Answer = Any
# How many answers each text gets: the best one by itself, a list of so many, or with None a list of all.
TopK = int | Literal["best"] | None
# What answers to labelled samples gained and could have gained, each (samples,).
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
# What training minimises, by the field's name; `edgebert.elastic.losses` computes it.
Loss = Literal["cross-entropy", "binary-cross-entropy", "squared-error"]

# What pandas reads as no value, in these spellings alone, what it and Python write where there is none, and what SNLI
# and MNLI have where people did not agree.
_NO_VALUE = {"nan", "NaN", "NAN", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None", "-"}
_NUMBER = re.compile(r"\d{1,9}")
_FLOAT32 = np.dtype(np.float32)
_FEW = 100  # numbers that Python looks at sooner than numpy does


@dataclass(frozen=True)
class Task(ABC):
    """What a network answers: a task's labels, and how they are read, given, compared and counted."""

    labels: tuple[str, ...]

    NAME: ClassVar[str]
    # The name of each output of a graph, and its number of dimensions.
    OUTPUTS: ClassVar[Mapping[str, int]] = {"logits": 2}
    # What quality is counted in: the first is what a selection goes by. Higher is better in all.
    METRICS: ClassVar[tuple[str, ...]]
    LOSS: ClassVar[Loss]

    @classmethod
    @abstractmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that the rows of a data file have, for a network that is still to be trained.

        Raises:
            EdgeBertError: a row has no label of this task's kind; names the line.
        """

    @abstractmethod
    def target(self, row: Example) -> Any:
        """Return what a row's label asks for, as a number or a list of numbers of the same size for every row.

        Raises:
            EdgeBertError: the row has no label, or one that is not of this task; names the line.
        """

    @abstractmethod
    def scores(self, outputs: Outputs) -> Scores:
        """Return what answers are given by, (batch, labels), as transformers' pipeline of the task scales logits."""

    def check_outputs(self, outputs: Outputs, texts: int) -> None:
        """Check that a graph gave what answers can be made of: all outputs of this task, with finite numbers.

        Raises:
            OutputError: one is missing, not finite, or of another type or shape than so many texts and the labels ask.
        """
        for name, dimensions in self.OUTPUTS.items():
            values = outputs.get(name)
            if values is None:
                found = listed([ascii(one) for one in outputs]) or "none"
                raise OutputError(f"expected an output {name}, found {found}; export the bundle again")
            if values.dtype != _FLOAT32 or values.ndim != dimensions or len(values) != texts:
                expected = f"expected {name} in float32 of {dimensions} dimensions for {texts} texts"
                raise OutputError(f"{expected}, found {values.dtype} of shape {values.shape}; export the bundle again")
            if name == "logits" and values.shape[-1] != len(self.labels):
                scores = f"{values.shape[-1]} scores for {len(self.labels)} labels"
                raise OutputError(f"found {scores}; export the bundle again")
            if not _are_finite(values):
                advice = "export the bundle again, or choose another sub-network or provider"
                raise OutputError(f"expected finite {name}, found infinite ones or some that are no number; {advice}")

    def answers(self, outputs: Outputs, top_k: TopK = "best") -> list[Answer]:
        """Return {"label", "score"} for each text of a batch, or a list of them, as transformers' pipelines do."""
        scores, labels = self.scores(outputs), self.labels
        if top_k == "best":
            # Most requests ask for no more: no sort, and lists of Python's numbers are read faster than arrays.
            best, rows = scores.argmax(axis=1).tolist(), scores.tolist()
            return [{"label": labels[place], "score": row[place]} for place, row in zip(best, rows, strict=True)]

        # Stable, so that the first of equal scores is the one that argmax takes.
        orders = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        return [
            [{"label": labels[place], "score": float(row[place])} for place in order]
            for order, row in zip(orders, scores, strict=True)
        ]

    @abstractmethod
    def metrics(self, scores: Scores, targets: Sequence[Any]) -> dict[str, float]:
        """Return each of `METRICS` for labelled samples: scores (samples, labels) and what was asked for."""

    @abstractmethod
    def interval(self, scores: Scores, targets: Sequence[Any]) -> Interval:
        """Return the 95 % interval of the first metric."""

    @abstractmethod
    def fidelity(self, scores: Scores, full: Scores) -> float:
        """Return how often answers are the full network's, of 1, from the scores of both for the same texts."""

    @abstractmethod
    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts the answer is wrong, of those where the right one is clear beyond a tolerance."""

    @property
    def has_cascade(self) -> bool:
        """Whether there are `confidences` and `counts`, so that two networks can answer in a row."""
        return False

    def confidences(self, scores: Scores) -> NDArray[np.float32] | None:
        """Return how sure each answer is, (batch,) from 0 to 1; None for a task that has no cascade."""
        return None

    def counts(self, scores: Scores, targets: Sequence[Any]) -> Counts | None:
        """Return two counts for each answer, of which the ratio of the sums is the first metric.

        None for a task that has no cascade: a cascade is set by adding up what one network or another gained.
        """
        return None


def checked_labels(first_rows: Mapping[str, Example]) -> set[str]:
    """Return labels that somebody is to be trained on, each given with the first row that has it.

    Raises:
        EdgeBertError: one stands for no label; names the row.
    """
    # Hugging Face's data sets count labels from 0, and have -1 where there is none.
    none = _NO_VALUE | ({"-1"} if "0" in first_rows else set())
    for label, row in first_rows.items():
        if label in none:
            advice = "leave such rows out, or name all labels with --labels=A,B if it is one"
            raise EdgeBertError(f"{row.place}: expected a label, found '{label}', which stands for none; {advice}")
    return set(first_rows)


def place_of(label: str, labels: Sequence[str]) -> int | None:
    """Return the place of a label that is given by its name or, where these are no numbers, by its place; else None."""
    if label in labels:
        return labels.index(label)
    # Python raises a ValueError for a number of thousands of digits.
    is_place = _NUMBER.fullmatch(label) and have_numbers(labels) and int(label) < len(labels)
    return int(label) if is_place else None


def have_numbers(labels: Sequence[str]) -> bool:
    """Return whether labels may be given by their places, from 0: not where their names say other numbers.

    Of stars from 1 to 5 the third is called 3, or "3 stars", and a 3 must not be taken for the fourth.
    """
    told = [(place, _NUMBER.match(label), label) for place, label in enumerate(labels)]
    return not any(label.isdecimal() or int(found[0]) != place for place, found, label in told if found)


def _are_finite(values: NDArray[np.float32]) -> bool:
    # Numpy's code is cold after a network has run: there it takes 13 us for two numbers, Python 2 (by hand).
    if values.size <= _FEW:
        return all(map(math.isfinite, values.ravel().tolist()))
    return bool(np.isfinite(values).all())


def mean_difference(found: Outputs, right: Outputs) -> float:
    """Return how far outputs lie apart: each text's largest difference, on average over the batch.

    A rounding that falls the other way may move a single text far; wrong arithmetic moves them all. Infinite where a
    shape differs or a number is not finite.
    """
    largest = []
    for name, expected in right.items():
        values = found.get(name)
        if values is None or values.shape != expected.shape or not np.isfinite(values).all():
            return float("inf")
        largest.append(np.abs(values - expected).reshape(len(expected), -1).max(axis=1))
    return float(np.max(largest, axis=0).mean())
