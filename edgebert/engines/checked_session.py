"""A session whose weights are what was checked and whose outputs are what its task asks for, at every request."""

from edgebert.engines.engine import Session
from edgebert.inputs.bundle_file import WeightParts
from edgebert.inputs.tokenization import Arrays
from edgebert.tasks.task import Outputs, Task


class CheckedSession:
    """A session of any engine; `run` may be called from several threads at once."""

    def __init__(self, session: Session, weights: WeightParts, task: Task):
        """Wrap a session that was loaded with checked weights."""
        self._session, self._weights, self._task = session, weights, task
        self.input_names: tuple[str, ...] = session.input_names

    def run(self, inputs: Arrays) -> Outputs:
        """Return the named outputs, float32 (batch, ...), for graph inputs (batch, length) int64.

        Raises:
            OutputError: the graph cannot be run, or an output is not what the task asks for, or not finite.
            BundleError: the weight file was altered since it was loaded.
        """
        # Before, since the system ends a process that reads what a file no longer has; after, since what was read
        # meanwhile may be anything. Both take 8 us together, where the network has left nothing of it in the caches.
        self._weights.check_unchanged()
        outputs = self._session.run(inputs)
        self._weights.check_unchanged()
        self._task.check_outputs(outputs, inputs["input_ids"].shape)
        return outputs
