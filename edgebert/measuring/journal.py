"""What a profiling has measured so far, a line of JSON each, so that one that was killed goes on where it was."""

import logging
import time
from pathlib import Path

from edgebert.errors import ProfileError
from edgebert.journal import Journal
from edgebert.machine.canary import Reading
from edgebert.measuring.trial import Measurement
from edgebert.records import Record
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

_LASTS_S = 3600  # a machine is not the same for longer: what is older is measured again


class Died(Record, frozen=True, tag=True):
    """A measuring process ended without an answer, for example for want of memory."""

    reason: str


class Step(Record, frozen=True):
    """One measurement, or its failure, in one round, with the state of the machine before it."""

    round: int
    subnet: str
    way: Way
    reading: Reading
    result: Measurement | Died


class StepJournal:
    """The steps of a profiling so far, kept in a file where there is a place for one."""

    def __init__(self, path: Path | None):
        """Read the file at a path, if it is there and of use; without a path nothing is kept."""
        self._file = None if path is None else Journal[Step](path, Step, ProfileError)
        self.steps: dict[tuple[int, str, Way], Step] = {}
        if path is None or self._file is None or not path.is_file():
            return
        if time.time() - path.stat().st_mtime > _LASTS_S:
            self._file.remove()
            return
        try:
            found = self._file.read()
        except ProfileError:  # not ours, or another version's
            self._file.remove()
            return
        self.steps = {(step.round, step.subnet, step.way): step for step in found}

    def add(self, step: Step) -> None:
        """Write down a step."""
        self.steps[step.round, step.subnet, step.way] = step
        if self._file is None:
            return
        try:
            self._file.append(step)
        except ProfileError as problem:
            logger.warning("if it is killed, this profiling will start anew: %s", problem)
            self._file = None

    def remove(self) -> None:
        """Delete the file: the profile that it led to is complete."""
        if self._file is not None:
            self._file.remove()
