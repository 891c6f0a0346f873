"""What a profiling has measured so far, a line of JSON each, so that one that was killed goes on where it was."""

import logging
import os
import time
from pathlib import Path

import msgspec

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


class Journal:
    """An append-only file of steps; a line that was being written when the process was killed is dropped."""

    def __init__(self, path: Path | None):
        """Read what is at a path; without one nothing is kept."""
        self._path = path
        self.steps: dict[tuple[int, str, Way], Step] = {}
        if path is None or not path.is_file():
            return
        if time.time() - path.stat().st_mtime > _LASTS_S:
            path.unlink()
            return
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        try:
            found = [msgspec.json.decode(line, type=Step) for line in whole.splitlines()]
        except msgspec.DecodeError:  # not ours, or another version's
            path.unlink()
            return
        self.steps = {(step.round, step.subnet, step.way): step for step in found}
        if torn:
            os.truncate(path, len(whole) + 1 if whole else 0)

    def add(self, step: Step) -> None:
        """Write down a step."""
        self.steps[step.round, step.subnet, step.way] = step
        if self._path is None:
            return
        try:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(step) + b"\n")
        except OSError as problem:
            logger.warning("if it is killed, this profiling will start anew: %s: %s", self._path, problem.strerror)
            self._path = None

    def remove(self) -> None:
        """Delete the file: the profile that it led to is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
