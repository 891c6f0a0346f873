"""text-classification: one of several labels for each text or pair, or how much it has of a label that is alone."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError, listed, shortened
from edgebert.inputs.dataset import Example
from edgebert.tasks.label_task import LabelTask, Scores, checked_labels, have_numbers, place_of
from edgebert.tasks.metrics import Interval, average_precision, spearman, spearman_interval, wilson_interval
from edgebert.tasks.task import Counts, Outputs, Results
from edgebert.tasks.text_regression import number_of

_WHOLE = re.compile(r"^(-?\d+)\.0+$")
_FRACTION = re.compile(r"^-?\d*\.\d+$")


@dataclass(frozen=True)
class TextClassification(LabelTask):
    """Labels that exclude each other: the softmax of the logits, and the share of samples whose label is right.

    One label alone is a score from 0 to 1, such as how well a passage suits a query: the sigmoid of its logit.
    """

    NAME = "text-classification"
    METRICS = ("accuracy",)
    LOSS = "cross-entropy"

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that occur, numbers in their order and names by the alphabet."""
        first_rows: dict[str, Example] = {}
        for row in rows:
            first_rows.setdefault(_given(row), row)
        found = checked_labels(first_rows)
        if len(found) < 2:
            only = ", ".join(map(shortened, found))
            raise EdgeBertError(f"expected at least two labels to tell apart, found {only} in every row; add rows")
        for label, row in first_rows.items():
            if _FRACTION.match(label):
                advice = "use --regression to predict numbers, or name all labels with --labels"
                raise EdgeBertError(f"{row.place}: expected names of labels, found {shortened(label)}; {advice}")
        # 10 comes after 9; "1" and "01" are two labels, which are put in order by their text.
        numbers = {label for label in found if _is_number(label)}
        return (*sorted(numbers, key=lambda label: (int(label), label)), *sorted(found - numbers))

    def __post_init__(self) -> None:
        # Texts have more or less of a label alone, and are put in order by that: no share of right ones says how well.
        if len(self.labels) == 1:
            object.__setattr__(self, "METRICS", ("spearman", "average_precision"))
            object.__setattr__(self, "LOSS", "binary-cross-entropy")

    def target(self, row: Example) -> float:
        """Return the place of a row's label, which may be given by its name or its number.

        Of a label that stands alone it is the number that is given: 0 or 1, or how much a text has of it.
        """
        if len(self.labels) == 1:
            return number_of(row)
        label = _given(row)
        # What was trained by an earlier version may be called 1.0, which _given reads as 1.
        names = self.labels if label in self.labels else tuple(map(_plain, self.labels))
        place = place_of(label, names)
        if place is None:
            known = listed(self.labels) + (" (or its number)" if have_numbers(names) else "")
            advice = "correct it, or leave the row out"
            raise EdgeBertError(f"{row.place}: expected a label of {known}, found label '{shortened(label)}'; {advice}")
        return place

    def scores(self, outputs: Outputs) -> Scores:
        """Return the softmax over the labels, or the sigmoid of a label that stands alone."""
        logits = outputs["logits"]
        if logits.shape[1] == 1:  # as transformers' pipeline does
            return np.asarray(1 / (1 + np.exp(-logits)))
        # The same softmax, whose largest exponent is 0: none overflows.
        # By `reduce` itself: `max` and `sum` call it through Python.
        shifted = np.exp(logits - np.maximum.reduce(logits, axis=1, keepdims=True))
        return np.asarray(shifted / np.add.reduce(shifted, axis=1, keepdims=True))

    def metrics(self, results: Results, targets: Sequence[float]) -> dict[str, float]:
        """Return the accuracy; for a label alone the rank correlation, and the average precision of what is above 0."""
        if len(self.labels) == 1:
            found, wanted = np.asarray(results, np.float64)[:, 0], np.asarray(targets, np.float64)
            precision = average_precision(found, wanted > 0)
            return {"spearman": spearman(found, wanted), "average_precision": precision or 0.0}
        right = np.asarray(results).argmax(axis=1) == np.asarray(targets)
        return {"accuracy": float(right.mean())}

    def interval(self, results: Results, targets: Sequence[float]) -> Interval:
        """Return the 95 % interval of the first metric."""
        if len(self.labels) == 1:
            return spearman_interval(self.metrics(results, targets)["spearman"], len(targets))
        hits = int((np.asarray(results).argmax(axis=1) == np.asarray(targets)).sum())
        return wilson_interval(hits, len(targets))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return how often the label is the full network's; for a label alone the rank correlation of its scores."""
        found, right = np.asarray(results, np.float64), np.asarray(full, np.float64)
        if len(self.labels) == 1:
            return spearman(found[:, 0], right[:, 0])
        return float((found.argmax(axis=1) == right.argmax(axis=1)).mean())

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts the label is wrong, where the right one leads by more than both may be off."""
        logits = right["logits"]
        if logits.shape[1] < 2:
            return 0
        ordered = np.sort(logits, axis=1)
        clear = ordered[:, -1] - ordered[:, -2] > 2 * tolerance
        return int((clear & (found["logits"].argmax(axis=1) != logits.argmax(axis=1))).sum())

    @property
    def has_cascade(self) -> bool:
        """Whether there are labels to be sure or unsure about."""
        return len(self.labels) > 1

    def confidences(self, results: Results) -> NDArray[np.float32] | None:
        """Return the score of the label that is answered."""
        return np.asarray(results).max(axis=1) if self.has_cascade else None

    def counts(self, results: Results, targets: Sequence[float]) -> Counts | None:
        """Return 1 of 1 for each answer that is right, and 0 of 1 for the others; None for a label alone."""
        if not self.has_cascade:
            return None
        right = (np.asarray(results).argmax(axis=1) == np.asarray(targets)).astype(np.int64)
        return right, np.ones_like(right)


def _plain(label: str) -> str:
    """Return a label, a whole number without its decimals: pandas writes 1.0 where some rows have no label."""
    return _WHOLE.sub(r"\1", label)


def _given(row: Example) -> str:
    if isinstance(row.label, tuple):
        advice = "several labels of a text are of the task multi-label-text-classification"
        raise EdgeBertError(f"{row.place}: expected one label, found a list of {len(row.label)}; {advice}")
    if not row.label:
        raise EdgeBertError(f"{row.place}: expected one label, found none; give the column 'label' in every row")
    return _plain(row.label)


def _is_number(label: str) -> bool:
    return label.isdecimal() and len(label) < 1000  # Python refuses to convert thousands of digits
