"""multi-label-text-classification: any number of labels for each text or pair, each with a score of its own."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.tasks.metrics import Interval, mean_average_precision, ratio, ratio_interval
from edgebert.tasks.task import Evidence, Loss, Outputs, Scores, Task

THRESHOLD = 0.5  # from which a score says that a text has the label


class MultiLabelTextClassification(Task):
    """Labels that do not exclude each other: a sigmoid each, micro F1 at 0.5 and the mean of average precisions."""

    NAME: ClassVar[str] = "multi-label-text-classification"
    METRICS: ClassVar[tuple[str, ...]] = ("micro_f1", "mean_average_precision")
    LOSS: ClassVar[Loss] = "binary-cross-entropy"

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that occur, by the alphabet."""
        found = {label for row in rows for label in _given(row)}
        if not found:
            raise EdgeBertError("expected rows with labels, found none in all of them; check the column 'label'")
        return tuple(sorted(found))

    def target(self, row: Example) -> list[float]:
        """Return 1 for each label that a row has, else 0; labels come joined by commas, or as a list in JSON lines."""
        given = _given(row)
        unknown = [label for label in given if label not in self.labels]
        if unknown:
            known = ", ".join(self.labels)
            raise EdgeBertError(f"{row.place}: expected labels of {known}, found '{unknown[0]}'; separate with commas")
        return [float(label in given) for label in self.labels]

    def scores(self, outputs: Outputs) -> Scores:
        """Return the sigmoid of each label's logit."""
        return np.asarray(1 / (1 + np.exp(-outputs["logits"])))

    def metrics(self, scores: Scores, targets: Sequence[Sequence[float]]) -> dict[str, float]:
        """Return micro F1 at a threshold of 0.5, and the mean over labels of their average precision."""
        wanted = np.asarray(targets) > THRESHOLD
        precision = mean_average_precision(scores.astype(np.float64), wanted)
        return {"micro_f1": ratio(*_f1_counts(scores, wanted)), "mean_average_precision": precision}

    def interval(self, scores: Scores, targets: Sequence[Sequence[float]]) -> Interval:
        """Return the 95 % interval of micro F1."""
        return ratio_interval(*_f1_counts(scores, np.asarray(targets) > THRESHOLD))

    def fidelity(self, scores: Scores, full: Scores) -> float:
        """Return how often all labels at 0.5 are the full network's."""
        return float(((scores >= THRESHOLD) == (full >= THRESHOLD)).all(axis=1).mean())

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts a label is wrong whose right logit is farther from 0 than both may be off."""
        logits = right["logits"]
        wrong = (np.abs(logits) > 2 * tolerance) & ((found["logits"] >= 0) != (logits >= 0))
        return int(wrong.any(axis=1).sum())

    @property
    def has_cascade(self) -> bool:
        """Always: each score tells how clear its label is."""
        return True

    def confidences(self, outputs: Outputs) -> NDArray[np.float32]:
        """Return the score of the label that is least clear, or one minus it: how sure the whole answer is."""
        return _least_clear(self.scores(outputs))

    def evidence(self, scores: Scores, targets: Sequence[Sequence[float]]) -> Evidence:
        """Return how sure each answer is, and its part of the numerator and the denominator of micro F1."""
        gained, possible = _f1_counts(scores, np.asarray(targets) > THRESHOLD)
        confidences = _least_clear(scores).astype(np.float64)
        return Evidence(confidences, gained.astype(np.int64), possible.astype(np.int64))


def _given(row: Example) -> tuple[str, ...]:
    if row.label is None:
        raise EdgeBertError(f"{row.place}: expected labels, found none; give the column 'label' in every row")
    if isinstance(row.label, tuple):
        return row.label
    return tuple(label.strip() for label in row.label.split(",") if label.strip())


def _f1_counts(scores: Scores, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each sample twice its true positives, and the labels found plus the labels wanted."""
    found = scores >= THRESHOLD
    return 2.0 * (found & wanted).sum(axis=1), (found.sum(axis=1) + wanted.sum(axis=1)).astype(np.float64)


def _least_clear(scores: Scores) -> NDArray[np.float32]:
    return np.asarray(np.maximum(scores, 1 - scores).min(axis=1))
