"""How far a device misses the golden outputs of a bundle: whether it computes what was exported."""

import math
import sys

import numpy as np

from edgebert.engines.engine import Session
from edgebert.errors import BundleError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Arrays
from edgebert.records import Natural, NotNegative, Record
from edgebert.tasks.task import mean_difference
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


def numerics(bundle: Bundle, subnet: ExportedSubnet, session: Session) -> Numerics:
    """Return how far a session misses a sub-network's golden outputs: of several, the one that is farthest off."""
    golden = bundle.golden()
    expected = golden.values_of(subnet.id)
    if not expected:
        raise BundleError(f"bundle '{bundle.manifest.name}' has no golden output for {subnet.id}; export it again")
    inputs: Arrays = {
        name: np.array(rows, np.int64) for name, rows in golden.inputs.items() if name in session.input_names
    }

    task, right = task_in(bundle.manifest), {output.name: output.array for output in expected}
    found = task.without_padding(session.run(inputs), inputs["attention_mask"])
    misses = [(mean_difference(found, {output.name: output.array}), output.tolerance) for output in expected]
    difference, tolerance = max(misses, key=lambda miss: miss[0] / miss[1])
    # No JSON number is infinite.
    if not math.isfinite(difference):
        return Numerics(sys.float_info.max, tolerance, wrong_answers=len(golden.texts))
    return Numerics(difference, tolerance, task.wrong_answers(found, right, tolerance))
