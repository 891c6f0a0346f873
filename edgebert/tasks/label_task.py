"""What the tasks share whose networks give one number for each label of a text: its answers are labels with scores."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.inputs.tokenization import Tokens
from edgebert.tasks.task import Answer, Form, Options, Outputs, Results, Task

# Of texts, (texts, labels); a result is a row of it.
Scores = NDArray[np.float32]
# How many answers each text gets: the best one by itself, a list of so many, or with None a list of all.
TopK = int | Literal["best"] | None

# What pandas reads as no value, in these spellings alone, what it and Python write where there is none, and what SNLI
# and MNLI have where people did not agree.
_NO_VALUE = {"nan", "NaN", "NAN", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None", "-"}
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class LabelOptions(Options):
    """How many labels each text gets, the best first; by default the best one by itself."""

    top_k: TopK = "best"

    def __post_init__(self) -> None:
        is_count = type(self.top_k) is int and self.top_k > 0
        if not is_count and self.top_k not in ("best", None):
            raise EdgeBertError(f"expected a top_k of 1 or more, or None for all, found {self.top_k!r}; pass these")


class LabelTask(Task):
    """A score for each label; the result of a text is its scores (labels,)."""

    OPTIONS: ClassVar[type[Options]] = LabelOptions

    @abstractmethod
    def scores(self, outputs: Outputs) -> Scores:
        """Return what answers are given by, (batch, labels), as transformers' pipeline of the task scales logits."""

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return the scores of each text."""
        return list(self.scores(outputs))

    def answers(self, results: Results, options: Options) -> list[Answer]:
        """Return {"label", "score"} for each text, or a list of them, as transformers' pipelines do."""
        assert isinstance(options, LabelOptions)
        if options.top_k == "best":
            # Most requests ask for no more, and Python is faster than numpy's functions for so few numbers.
            rows = [scores.tolist() for scores in results]
            return [self._answer(row, row.index(max(row))) for row in rows]
        # Stable, so that the first of equal scores is the one that argmax takes.
        orders = [np.argsort(-scores, kind="stable")[: options.top_k].tolist() for scores in results]
        return [[self._answer(scores, place) for place in order] for order, scores in zip(orders, results, strict=True)]

    def _answer(self, scores: Sequence[float] | Scores, place: int) -> Answer:
        return {"label": self.labels[place], "score": float(scores[place])}

    def shaped(self, answers: list[Answer], form: Form, options: Options, networks: Sequence[str]) -> Any:
        """Return answers as transformers' pipeline does: a list with one for each text.

        For a dict by itself it is the bare answer; for a single text the list of its best answers, if `top_k` was
        given, and else a list of one.
        """
        assert isinstance(options, LabelOptions)
        is_bare = form == "dict" or (form == "text" and options.top_k != "best")
        return answers[0] if is_bare else answers

    def cells(self, answer: Answer) -> tuple[str, str]:
        """Return the labels and their scores, each joined by commas."""
        answers = [answer] if isinstance(answer, dict) else answer
        return ",".join(one["label"] for one in answers), ",".join(f"{one['score']:.4f}" for one in answers)


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
