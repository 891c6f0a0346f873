"""text-classification: one of several labels for each text or pair. One label alone is a score from 0 to 1."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.tasks.metrics import Interval, spearman, wilson_interval
from edgebert.tasks.task import Evidence, Loss, Outputs, Scores, Task


class TextClassification(Task):
    """Labels that exclude each other: the softmax of the logits, and the share of samples whose label is right."""

    NAME: ClassVar[str] = "text-classification"
    METRICS: ClassVar[tuple[str, ...]] = ("accuracy",)
    LOSS: ClassVar[Loss] = "cross-entropy"

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that occur, numbers in their order and names by the alphabet."""
        found = {_given(row) for row in rows}
        if len(found) < 2:
            raise EdgeBertError(f"expected at least two labels to tell apart, found {', '.join(found)}; add rows")
        numbers = {label for label in found if label.isdecimal()}
        return (*sorted(numbers, key=lambda label: (int(label), label)), *sorted(found - numbers))

    def target(self, row: Example) -> int:
        """Return the place of a row's label, which may be given by its name or its number."""
        if len(self.labels) < 2:
            advice = "measure fidelity instead: export it with --texts"
            raise EdgeBertError(f"accuracy needs two labels or more, found {', '.join(self.labels)}; {advice}")
        label = _given(row)
        if label in self.labels:
            return self.labels.index(label)
        if label.isdecimal() and len(label) < 10 and int(label) < len(self.labels):
            return int(label)
        known = ", ".join(self.labels)
        raise EdgeBertError(f"{row.place}: expected a label of {known} (or its number), found label '{label}'")

    def scores(self, outputs: Outputs) -> Scores:
        """Return the softmax over the labels, or the sigmoid of a label that stands alone."""
        logits = outputs["logits"]
        if logits.shape[1] == 1:
            return np.asarray(1 / (1 + np.exp(-logits)))
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def metrics(self, scores: Scores, targets: Sequence[int]) -> dict[str, float]:
        """Return the accuracy, from 0 to 1."""
        return {"accuracy": float(self._is_right(scores, targets).mean())}

    def interval(self, scores: Scores, targets: Sequence[int]) -> Interval:
        """Return the 95 % interval of the accuracy."""
        return wilson_interval(int(self._is_right(scores, targets).sum()), len(targets))

    def fidelity(self, scores: Scores, full: Scores) -> float:
        """Return how often the label is the full network's; for a label alone the rank correlation of its scores."""
        if len(self.labels) == 1:
            return spearman(scores[:, 0].astype(np.float64), full[:, 0].astype(np.float64))
        return float((scores.argmax(axis=1) == full.argmax(axis=1)).mean())

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

    def confidences(self, outputs: Outputs) -> NDArray[np.float32] | None:
        """Return the score of the label that is answered."""
        return np.asarray(self.scores(outputs).max(axis=1)) if self.has_cascade else None

    def evidence(self, scores: Scores, targets: Sequence[int]) -> Evidence | None:
        """Return the score of each answer, and 1 of 1 where it is right."""
        right = self._is_right(scores, targets).astype(np.int64)
        return Evidence(scores.max(axis=1).astype(np.float64), right, np.ones_like(right))

    def _is_right(self, scores: Scores, targets: Sequence[int]) -> NDArray[np.bool_]:
        return np.asarray(scores.argmax(axis=1) == np.asarray(targets))


def _given(row: Example) -> str:
    if not isinstance(row.label, str):
        found = "no label" if row.label is None else f"a list of {len(row.label)}"
        raise EdgeBertError(f"{row.place}: expected one label, found {found}; give the column 'label' in every row")
    return row.label
