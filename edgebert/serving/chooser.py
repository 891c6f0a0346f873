"""What answers a batch: a network that was chosen before, or one that is chosen for it (see `dispatcher`)."""

from dataclasses import dataclass
from typing import Protocol

from edgebert.engines.engine import Session
from edgebert.inputs.batches import Batch
from edgebert.tasks.task import Answer, Task, TopK


@dataclass(frozen=True)
class Answered:
    """The answers to a batch, in the order of its texts, and the id of the sub-network that gave them."""

    subnet_id: str
    answers: list[Answer]


class Chooser(Protocol):
    """Chooses a network for a batch and answers it."""

    def answer(self, batch: Batch, allowed_ms: float, top_k: TopK) -> Answered:
        """Return the answers to a batch that may take `allowed_ms` from now on.

        Raises:
            BundleError: the network cannot be run, or does not fit the bundle's labels.
        """


@dataclass(frozen=True)
class FixedChoice:
    """One loaded network that answers everything, however long it takes; from several threads at once."""

    subnet_id: str
    session: Session
    task: Task

    def answer(self, batch: Batch, allowed_ms: float, top_k: TopK) -> Answered:
        """Return the answers to a batch."""
        outputs = self.session.run(batch.arrays(self.session.input_names))
        return Answered(self.subnet_id, self.task.answers(outputs, top_k))
