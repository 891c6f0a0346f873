"""Reads and writes what crosses a file: frozen records as JSON, read strictly, written atomically."""

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from edgebert.errors import EdgeBertError
from edgebert.scratch import scratch_folder


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value whose JSON form has exactly its fields; VERSION is checked where there is a schema_version."""

    VERSION: ClassVar[int] = 1


R = TypeVar("R", bound=Record)


class _Versioned(msgspec.Struct):
    schema_version: int


def encode(record: Record, *, indent: int = 1) -> bytes:
    """Return a record as JSON, on one line with indent 0; an infinite or undefined number is a ValueError."""
    # msgspec itself would write NaN and infinity as null, which no field of a number reads back.
    plain = msgspec.to_builtins(record)
    _check_finite(plain, "$")
    content = msgspec.json.encode(plain)
    return msgspec.json.format(content, indent=indent) + b"\n" if indent else content


def _check_finite(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value} at {path}")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        _check_finite(item, f"{path}[{key}]")


def decode(content: bytes, kind: type[R], name: object, error: type[EdgeBertError]) -> R:
    """Return the record that JSON bytes hold; `name` says in messages whose bytes they are.

    Raises:
        error: not JSON, another schema version, or a missing, unknown or ill-typed key, with its path.
    """
    try:
        # First, and with all other keys ignored: a file of another version is told so, and not by its unknown keys.
        if "schema_version" in kind.__struct_fields__:
            found = msgspec.json.decode(content, type=_Versioned).schema_version
            if found != kind.VERSION:
                advice = "use the version of edgebert that wrote it, or make it again"
                raise error(f"{name}: expected schema_version {kind.VERSION}, found {found}; {advice}")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        # msgspec writes "... - at `$.rows[3]`"; ours is the plain path.
        reason = str(problem).replace("`", "").replace(" - at ", " at ")
        raise error(f"{name}: {reason}; make it again or restore it") from None


def read(path: Path, kind: type[R], error: type[EdgeBertError]) -> R:
    """Return the record in a JSON file.

    Raises:
        error: the file cannot be read, or `decode` refuses it.
    """
    return decode(read_bytes(path, error), kind, path, error)


def read_bytes(path: Path, error: type[EdgeBertError]) -> bytes:
    """Return a file's content, or raise `error` with the reason why it cannot be read."""
    try:
        # A pipe or a terminal would be waited for, and a device such as /dev/zero never ends.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "Not a regular file")
        return path.read_bytes()
    except (OSError, ValueError) as problem:  # ValueError: a path with a zero byte
        raise error(f"cannot read {path}: {getattr(problem, 'strerror', problem)}; check the path") from None


def check_writable(path: Path, error: type[EdgeBertError]) -> None:
    """Raise `error` if a file could not be put at a path: better before the work than after it."""
    try:
        _check_replaceable(path)
        # What is replaced is an entry of the folder, so the folder must be writable and not the old file.
        with scratch_folder(path):
            pass
    except OSError as problem:
        raise error(f"cannot write {path}: {problem.strerror}; choose another place") from None


def _check_replaceable(path: Path) -> None:
    """Raise an OSError for what must not be replaced: a folder, a device, a pipe or a link."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EINVAL, "Not a regular file")


def write_bytes(path: Path, content: bytes, error: type[EdgeBertError]) -> None:
    """Put a file in place in one step: whatever happens, the path holds the old content or all of the new.

    Raises:
        error: the file cannot be written; the old one is untouched and no temporary file is left.
    """
    replace_file(path, lambda temporary: temporary.write_bytes(content), error)


def replace_file(path: Path, write: Callable[[Path], object], error: type[EdgeBertError]) -> None:
    """Put a file in place as `write_bytes` does; `write` fills the file whose path it is given.

    Raises:
        error: the file cannot be written; the old one is untouched and no temporary file is left.
    """
    try:
        _check_replaceable(path)
        # Beside it, since a rename is one step only within a file system.
        with scratch_folder(path) as folder:
            temporary = folder / "new"
            write(temporary)
            # Before the rename, which may reach the disk first: a crash would then leave the name of an empty file.
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except (OSError, RuntimeError) as problem:  # torch raises a RuntimeError where the disk is full
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"cannot write {path}: {reason}; choose another place or make room") from None
