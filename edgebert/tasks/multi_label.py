"""multi-label-text-classification: any number of labels for each text or pair, each with a score of its own."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError, listed, shortened
from edgebert.inputs.dataset import Example
from edgebert.tasks.label_task import LabelTask, Scores, checked_labels, have_numbers, place_of
from edgebert.tasks.metrics import Interval, mean_average_precision, ratio, ratio_interval
from edgebert.tasks.task import Counts, Outputs, Results

_MARKS = {"0", "1", "0.0", "1.0"}
THRESHOLD = 0.5  # from which a score says that a text has the label


class MultiLabelTextClassification(LabelTask):
    """Labels that do not exclude each other: a sigmoid each, micro F1 at 0.5 and the mean of average precisions."""

    NAME = "multi-label-text-classification"
    COLUMNS = ("labels", "scores")
    METRICS = ("micro_f1", "mean_average_precision")
    LOSS = "binary-cross-entropy"

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that occur, by the alphabet."""
        first_rows: dict[str, Example] = {}
        for row in rows:
            given = _given(row)
            if given and _MARKS.issuperset(given) and (len(set(given)) < len(given) or "." in given[0]):
                marks = f"found a 0 or a 1 for each ({', '.join(given)[:40]})"
                raise EdgeBertError(f"{row.place}: expected names of labels, {marks}; name the labels with --labels")
            first_rows.update({label: row for label in given if label not in first_rows})
        found = checked_labels(first_rows)
        if not found:
            raise EdgeBertError("expected rows with labels, found none in all of them; check the column 'label'")
        return tuple(sorted(found))

    def target(self, row: Example) -> list[float]:
        """Return 1 for each label that a row has, else 0; labels come joined by commas, or as a list in JSON lines.

        They are given by their names or places, or by a 0 or 1 for each, which transformers' training takes.
        """
        given = _given(row)
        if len(given) == len(self.labels) and _MARKS.issuperset(given) and not set(given) <= set(self.labels):
            # With two labels a 0 and a 1 may also be the places of both.
            if len(given) < 3 and "." not in given[0]:
                found = f"found {','.join(given)}, which may be their numbers or a 0 or 1 for each"
                raise EdgeBertError(f"{row.place}: expected names of labels, {found}; write {listed(self.labels)}")
            return [float(mark) for mark in given]
        places = [place_of(label, self.labels) for label in given]
        if None in places:
            known = listed(self.labels) + (" (or their numbers)" if have_numbers(self.labels) else "")
            unknown = shortened(given[places.index(None)])
            raise EdgeBertError(f"{row.place}: expected labels of {known}, found '{unknown}'; separate with commas")
        return [float(place in places) for place in range(len(self.labels))]

    def scores(self, outputs: Outputs) -> Scores:
        """Return the sigmoid of each label's logit."""
        return np.asarray(1 / (1 + np.exp(-outputs["logits"])))

    def metrics(self, results: Results, targets: Sequence[Sequence[float]]) -> dict[str, float]:
        """Return micro F1 at a threshold of 0.5, and the mean over labels of their average precision."""
        precision = mean_average_precision(np.asarray(results, np.float64), _wanted(targets))
        return {"micro_f1": ratio(*self.counts(results, targets)), "mean_average_precision": precision}

    def interval(self, results: Results, targets: Sequence[Sequence[float]]) -> Interval:
        """Return the 95 % interval of micro F1."""
        return ratio_interval(*self.counts(results, targets))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return how often all labels at 0.5 are the full network's."""
        return float(((np.asarray(results) >= THRESHOLD) == (np.asarray(full) >= THRESHOLD)).all(axis=1).mean())

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts a label is wrong whose right logit is farther from 0 than both may be off."""
        logits = right["logits"]
        wrong = (np.abs(logits) > 2 * tolerance) & ((found["logits"] >= 0) != (logits >= 0))
        return int(wrong.any(axis=1).sum())

    @property
    def has_cascade(self) -> bool:
        """Always: each score tells how clear its label is."""
        return True

    def confidences(self, results: Results) -> NDArray[np.float32]:
        """Return the score of the label that is least clear, or one minus it: how sure the whole answer is."""
        scores = np.asarray(results)
        return np.asarray(np.maximum(scores, 1 - scores).min(axis=1))

    def counts(self, results: Results, targets: Sequence[Sequence[float]]) -> Counts:
        """Return twice the true positives, and the labels found plus the labels wanted: the two sides of micro F1."""
        found, wanted = np.asarray(results) >= THRESHOLD, _wanted(targets)
        return 2 * (found & wanted).sum(axis=1), found.sum(axis=1) + wanted.sum(axis=1)


def _given(row: Example) -> tuple[str, ...]:
    if row.label is None:
        raise EdgeBertError(f"{row.place}: expected labels, found none; give the column 'label' in every row")
    if isinstance(row.label, tuple):
        return tuple(filter(None, row.label))
    if row.label.startswith("[") and row.label.endswith("]"):  # as pandas writes a list into a CSV file
        found = f"found '{row.label[:40]}'; write A,B, or a list in a .jsonl file"
        raise EdgeBertError(f"{row.place}: expected labels joined by commas, {found}")
    return tuple(label.strip() for label in row.label.split(",") if label.strip())


def _wanted(targets: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    return np.asarray(targets) > THRESHOLD
