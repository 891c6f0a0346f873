"""One append-only file of records, a line of JSON each, from which work that was killed goes on.

Knows nothing about what the records say.
"""

import os
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from edgebert import records
from edgebert.errors import EdgeBertError, cause_of

T = TypeVar("T")

# What is read is held in memory; a line of a few hundred bytes is written every second or so.
_MOST_BYTES = 1 << 28


class Journal(Generic[T]):
    """A file of records of one kind, which may be a union of tagged records; there need be no file yet."""

    def __init__(self, path: Path, kind: Any, error: type[EdgeBertError]):
        """Take the file's path, the type of its records, and the error that is raised about the file."""
        self.path = path
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._error = error

    def read(self) -> list[T]:
        """Return all records; a last line that was being written when the process was killed is cut off.

        Raises:
            error: the file cannot be read, or a line is no record of this kind.
        """
        content = b""
        if self.path.exists():
            content = records.read_bytes(self.path, self._error, most_bytes=_MOST_BYTES)
        # What follows the last line feed was never written to its end; the next record is not to be added to it.
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self.cut_back(len(whole))
        return [self._decoded(number, line) for number, line in enumerate(whole.splitlines(), 1)]

    def _decoded(self, number: int, line: bytes) -> T:
        try:
            record = self._decoder.decode(line)
            records.check_keys(line)
            return record
        except records.UNREADABLE as problem:
            what = f"{self.path} is damaged: line {number}: {records.reason_of(problem)}"
            raise self._error(f"{what}; remove it and run the same command again") from None

    def append(self, record: T) -> None:
        """Write a record at the end.

        Raises:
            error: the file cannot be written.
        """
        # Not synced to the disk: after a crash of the machine the last records may be missing, and the work that they
        # stood for is done again.
        try:
            with open(self.path, "ab") as file:
                file.write(msgspec.json.encode(record) + b"\n")
        except OSError as problem:
            raise self._error(f"cannot write {self.path}: {cause_of(problem)}; make room and run it again") from None

    @property
    def size_bytes(self) -> int:
        """The size of the file, to go back to."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut_back(self, size_bytes: int) -> None:
        """Remove what was written after the file had this size.

        Raises:
            error: the file cannot be written.
        """
        try:
            if self.size_bytes > size_bytes:
                os.truncate(self.path, size_bytes)
        except OSError as problem:
            raise self._error(f"cannot write {self.path}: {cause_of(problem)}; check the path") from None

    def remove(self) -> None:
        """Delete the file: the work that it was for is finished."""
        self.path.unlink(missing_ok=True)
