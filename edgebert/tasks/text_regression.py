"""text-regression: a number for each text or pair, such as how similar the two of a pair are."""

import contextlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from edgebert.errors import EdgeBertError, shortened
from edgebert.inputs.dataset import Example
from edgebert.tasks.label_task import LabelTask, Scores
from edgebert.tasks.metrics import Interval, pearson, spearman, spearman_interval
from edgebert.tasks.task import Outputs, Results


class TextRegression(LabelTask):
    """A number: the logit as it is, and its rank and linear correlation with the wanted ones.

    Answers give it as a score. It has no cascade.
    """

    NAME = "text-regression"
    METRICS = ("spearman", "pearson")
    LOSS = "squared-error"

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the name of the one number."""
        return ("score",)

    def target(self, row: Example) -> float:
        """Return the number that a row's label is."""
        if len(self.labels) != 1:
            found = f"found a network of {len(self.labels)}"
            raise EdgeBertError(f"{row.place}: expected one number a text, {found}; export it with --texts instead")
        return number_of(row)

    def scores(self, outputs: Outputs) -> Scores:
        """Return the logits as they are."""
        return outputs["logits"]

    def metrics(self, results: Results, targets: Sequence[float]) -> dict[str, float]:
        """Return the rank correlation and the linear correlation with the wanted numbers, from -1 to 1."""
        found, wanted = np.asarray(results, np.float64)[:, 0], np.asarray(targets, np.float64)
        return {"spearman": spearman(found, wanted), "pearson": pearson(found, wanted)}

    def interval(self, results: Results, targets: Sequence[float]) -> Interval:
        """Return the 95 % interval of the rank correlation."""
        return spearman_interval(self.metrics(results, targets)["spearman"], len(targets))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return the rank correlation with the full network's numbers: how alike both put texts in order."""
        columns = np.asarray(results, np.float64).T, np.asarray(full, np.float64).T
        return min(spearman(found, right) for found, right in zip(*columns, strict=True))

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return 0: a number is never another answer, only farther off."""
        return 0


def number_of(row: Example) -> float:
    """Return the number that a row's label is.

    Raises:
        EdgeBertError: it is none; names the line.
    """
    # float reads "nan" and "inf" too, which no loss and no metric can use.
    with contextlib.suppress(ValueError):
        # It reads 1_5 as 15 too, which nobody's spreadsheet does.
        if isinstance(row.label, str) and "_" not in row.label and math.isfinite(float(row.label)):
            return float(row.label)
    label = ", ".join(row.label) if isinstance(row.label, tuple) else row.label
    found = f"'{shortened(label)}'" if label else "none"
    raise EdgeBertError(f"{row.place}: expected a number as the label, found {found}; write it as 1.5 or 3")
