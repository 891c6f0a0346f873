"""What a profiling has measured so far, a line of JSON each, so that one that was killed goes on where it was."""

import contextlib
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from edgebert.errors import ProfileError
from edgebert.journal import Journal
from edgebert.machine.canary import Reading
from edgebert.measuring.trial import Died, Measurement
from edgebert.records import Line, Natural, Record
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A machine is not the same for longer: what is older is measured again.
_LASTS_S = 3600


def is_current(path: Path) -> bool:
    """Return whether what a journal holds still tells of this machine."""
    # In either direction: after a clock was set back, it would be from the future for long.
    return abs(time.time() - path.stat().st_mtime) <= _LASTS_S


class TrialRecord(Record, frozen=True):
    """What came of one trial in one round, and the state of the machine around it."""

    round: Natural
    subnet: Line
    way: Way
    reading: Reading
    result: Measurement | Died


class TrialJournal:
    """The trials of a profiling so far, kept in a file if there is a path for one."""

    def __init__(self, path: Path | None = None):
        """Read the file, if it is there and of use."""
        self._file = None if path is None else Journal[TrialRecord](path, TrialRecord, ProfileError)
        self._records = {(one.round, one.subnet, one.way): one for one in self._read()}

    def find(self, this_round: int, subnet_id: str, way: Way) -> TrialRecord | None:
        """Return what came of a trial, None if it was not made yet."""
        return self._records.get((this_round, subnet_id, way))

    def add(self, record: TrialRecord) -> None:
        """Write down a trial."""
        self._records[record.round, record.subnet, record.way] = record
        if self._file is None:
            return
        try:
            self._file.append(record)
        except ProfileError as problem:
            # No warning: that nothing can be written is told when the profile cannot be kept.
            logger.info("if it is killed, this profiling will start anew: %s", problem)
            self._file = None

    def remove(self) -> None:
        """Delete the file: the profile that it led to is complete."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.remove()

    def _read(self) -> list[TrialRecord]:
        return [] if self._file is None else read_current(self._file)


def read_current(file: Journal[T]) -> list[T]:
    """Return what is in a journal; one that is too old, or that another version wrote, is deleted."""
    if not file.path.is_file():
        return []
    if is_current(file.path):
        try:
            return file.read()
        except ProfileError as problem:
            logger.info("this profiling starts anew: %s", problem)
    with contextlib.suppress(OSError):
        file.remove()
    return []


def measurements_in(records: Iterable[TrialRecord]) -> list[Measurement]:
    """Return what was measured, round by round, without the trials that failed."""
    return [record.result for record in records if isinstance(record.result, Measurement)]
