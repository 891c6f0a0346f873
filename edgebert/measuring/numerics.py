"""How far a device misses the golden outputs of a bundle: whether it computes what was exported."""

import math
import sys
from collections.abc import Sequence

import numpy as np

from edgebert.engines.engine import Session
from edgebert.engines.fixed_shapes import FixedShapes, filled
from edgebert.errors import BundleError
from edgebert.inputs.bundle import Bundle, GoldenValues
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Arrays
from edgebert.records import Natural, NotNegative, Record
from edgebert.tasks.task import Outputs, Task, mean_difference
from edgebert.tasks.tasks import task_in


class Numerics(Record, frozen=True):
    """How far the golden outputs are missed: on average over texts, and for how many the answer is wrong.

    `tolerance` is what rounding explains. An answer counts only where the right one is clear beyond it.
    """

    drift: NotNegative
    tolerance: NotNegative
    wrong_answers: Natural

    @property
    def ok(self) -> bool:
        """Whether this device computes what was exported."""
        return self.drift <= self.tolerance and self.wrong_answers == 0

    def __str__(self) -> str:
        drift = f"outputs are {self.drift:.2g} off, {self.tolerance:.2g} is allowed"
        return f"{drift}; {self.wrong_answers} answers are wrong" if self.wrong_answers else drift


def numerics(bundle: Bundle, subnet: ExportedSubnet, session: Session, fixed: FixedShapes | None = None) -> Numerics:
    """Return how far a session misses a sub-network's golden outputs: of several, the one that is farthest off.

    Where the session has a network for each of some `fixed` shapes, all of them are asked.
    """
    golden, task = bundle.golden(), task_in(bundle.manifest)
    expected = golden.values_of(subnet.id)
    if not expected:
        raise BundleError(f"bundle '{bundle.manifest.name}' has no golden output for {subnet.id}; export it again")
    inputs: Arrays = {
        name: np.array(rows, np.int64) for name, rows in golden.inputs.items() if name in session.input_names
    }

    right = {output.name: output.array for output in expected}
    answers = [session.run(inputs)]
    answers += [_answers_of_shape(session, inputs, right, task, shape) for shape in fixed or ()]
    found = [missed(task.without_padding(outputs, inputs["attention_mask"]), expected, task) for outputs in answers]
    return max(found, key=lambda one: (not one.ok, one.drift / one.tolerance))


def missed(found: Outputs, expected: Sequence[GoldenValues], task: Task) -> Numerics:
    """Return how far outputs miss the expected ones."""
    misses = [(mean_difference(found, {output.name: output.array}), output.tolerance) for output in expected]
    difference, tolerance = max(misses, key=lambda miss: miss[0] / miss[1])
    # No JSON number is infinite.
    if not math.isfinite(difference):
        return Numerics(sys.float_info.max, tolerance, wrong_answers=len(expected[0].array))
    right = {output.name: output.array for output in expected}
    return Numerics(difference, tolerance, task.wrong_answers(found, right, tolerance))


def _answers_of_shape(session: Session, inputs: Arrays, right: Outputs, task: Task, shape: tuple[int, int]) -> Outputs:
    """Return a session's outputs for the golden texts that fit into a shape, asked in that shape, and the right ones
    for the others."""
    size, length = shape
    texts = np.flatnonzero(inputs["attention_mask"].sum(axis=1) <= length)
    found = {name: values.copy() for name, values in right.items()}
    for start in range(0, len(texts), size):
        # The last ones again, so that none is of padding alone.
        some = texts[np.minimum(np.arange(start, start + size), len(texts) - 1)]
        cut = {name: values[some, :length] for name, values in inputs.items()}
        for name, values in session.run(filled(cut, 0, shape)).items():
            if task.OUTPUTS[name][1] == "length":
                width = min(length, found[name].shape[1])
                found[name][some, :width] = values[:, :width]
            else:
                found[name][some] = values
    return found
