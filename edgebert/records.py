"""Reads and writes what crosses a file: frozen records as JSON, read strictly, written atomically."""

import errno
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from edgebert.errors import EdgeBertError, cause_of
from edgebert.scratch import scratch_folder

# What crosses a file is of these: no number that is beyond what is counted or computed with, no text that a line of a
# table or of an answer file cannot hold.
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
_LINE, _SHA256 = r"\A[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*\Z", r"\A[0-9a-f]{64}\Z"
Line = Annotated[str, Meta(pattern=_LINE, max_length=10_000)]
Sha256 = Annotated[str, Meta(pattern=_SHA256)]

# Of JSON that is read whole: in memory it may take twenty times as much.
MAX_JSON_BYTES = 1 << 24


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value whose JSON form has exactly its fields; VERSION is checked where there is a schema_version."""

    VERSION: ClassVar[int] = 1

    def contradictions(self) -> Iterator[str]:
        """Yield what the values in a whole file say against each other, each with its path; asked when it is read."""
        yield from ()


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
        error: not JSON, another schema version, or a key that is missing, unknown, there twice or has a value that it
            cannot have, with its path.
    """
    try:
        # First, and with all other keys ignored: a file of another version is told so, and not by its unknown keys.
        if "schema_version" in kind.__struct_fields__:
            found = msgspec.json.decode(content, type=_Versioned).schema_version
            if found != kind.VERSION:
                advice = "use the version of edgebert that wrote it, or make it again"
                raise error(f"{name}: expected schema_version {kind.VERSION}, found {found}; {advice}")
        record = msgspec.json.decode(content, type=kind)
        check_keys(content)
        reason = next(record.contradictions(), None)
    except UNREADABLE as problem:
        reason = reason_of(problem)
    if reason:
        raise error(f"{name}: {reason}; make it again or restore it")
    return record


class RepeatedKeyError(ValueError):
    """A key is there twice in one object of JSON."""


# What reading JSON raises: not JSON or not of a kind, not UTF-8, nested too deep, a key that is there twice.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RepeatedKeyError)


def reason_of(problem: Exception) -> str:
    """Return what is wrong with JSON, and where, from one of `UNREADABLE`."""
    if isinstance(problem, RecursionError):
        return "it is nested too deep"
    # msgspec writes "... - at `$.rows[3]`"; ours is the plain path.
    reason = str(problem).replace("`", "").replace(" - at ", " at ")
    for pattern, words in (
        (_LINE, "text without control characters"),
        (_SHA256, "64 hexadecimal digits in lower case"),
    ):
        reason = reason.replace(f"str matching regex {pattern!r}", words)
    return reason


class _Twice(str):
    """The path, from some value on, to a key that is there twice."""


def check_keys(content: bytes) -> None:
    """Raise a RepeatedKeyError with the path if a key is there twice in one object; msgspec takes the last."""
    import json  # only here: `import edgebert` itself reads no file

    found: list[str] = []

    # Objects come from the inside out: each passes on the path that one in it has found.
    def passed_on(pairs: list[tuple[str, Any]]) -> _Twice | None:
        if not found and len(dict(pairs)) == len(pairs):
            return None
        if not found:
            keys = [key for key, _ in pairs]
            found.append(next(key for key in keys if keys.count(key) > 1))
            return _Twice(f".{found[0]}")
        return next((_Twice(f".{key}{path}") for key, value in pairs for path in _paths(value)), None)

    whole = json.loads(content, object_pairs_hook=passed_on)
    for path in _paths(whole):
        raise RepeatedKeyError(f"expected each key once, found '{found[0]}' twice at ${path}")


def _paths(value: Any) -> list[str]:
    """Return the paths to keys that are there twice in what became of a value."""
    if isinstance(value, list):
        return [f"[{number}]{path}" for number, item in enumerate(value) for path in _paths(item)]
    return [value] if isinstance(value, _Twice) else []


def read(path: Path, kind: type[R], error: type[EdgeBertError]) -> R:
    """Return the record in a JSON file.

    Raises:
        error: the file cannot be read, or `decode` refuses it.
    """
    return decode(read_bytes(path, error, most_bytes=MAX_JSON_BYTES), kind, path, error)


def read_bytes(path: Path, error: type[EdgeBertError], *, most_bytes: int | None = None) -> bytes:
    """Return a file's content, or raise `error` with the reason why it cannot be read.

    A file of more than `most_bytes` is refused before it is read.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            # What a pipe or a terminal sends would be waited for, and a device such as /dev/zero never ends.
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "Not a regular file")
            if most_bytes is not None and found.st_size > most_bytes:
                raise OSError(errno.EFBIG, f"{found.st_size} bytes, and at most {most_bytes} are expected")
            return file.read()
    except (OSError, ValueError) as problem:  # ValueError: a path with a zero byte
        raise error(f"cannot read {path}: {cause_of(problem)}; check the path") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file as `open` does; a pipe that nobody writes into is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_writable(path: Path, error: type[EdgeBertError]) -> None:
    """Raise `error` if a file could not be put at a path: better before the work than after it."""
    try:
        _check_replaceable(path)
        # What is replaced is an entry of the folder, so the folder must be writable and not the old file.
        with scratch_folder(path):
            pass
    except OSError as problem:
        raise error(f"cannot write {path}: {cause_of(problem)}; choose another place") from None


def _check_replaceable(path: Path) -> None:
    """Raise an OSError for what must not be replaced: a folder, a device, a pipe or a link."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "A zero byte in the name")
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
        raise error(f"cannot write {path}: {cause_of(problem)}; choose another place or make room") from None
