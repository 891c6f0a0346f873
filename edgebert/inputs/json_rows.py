"""Reads objects from JSON lines, and from arrays of any size. Knows nothing about columns."""

import json
import re
from collections.abc import Iterator
from typing import Any

from edgebert.errors import EdgeBertError
from edgebert.inputs.text_file import MOST_CHARACTERS, TextFile

Row = dict[str, Any]

_NOT_SPACE = re.compile(r"[^ \t\r\n]")


def json_rows(file: TextFile, first: str) -> Iterator[tuple[int, Row]]:
    """Yield the objects of a file, and the line on which each begins; `first` is its first line, already read.

    They stand one a line, with blank lines passed over, or in an array, on one line or on many.

    Raises:
        EdgeBertError: anything else stands there, or a key stands twice; names the line.
    """
    return _of_array(file, first) if first.lstrip().startswith("[") else _of_lines(file, first)


def _of_array(file: TextFile, first: str) -> Iterator[tuple[int, Row]]:
    reader = JsonReader(file, first)
    yield from reader.objects()
    reader.check_end()


def _of_lines(file: TextFile, first: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file.lines(first), 1):
        if not line.isspace():
            yield number, _object(line, f"{file.name}:{number}")


def _object(line: str, place: str) -> Row:
    try:
        row = _DECODER.decode(line)
    except json.JSONDecodeError as problem:
        found = f"{problem.msg} at column {problem.colno}"
        raise EdgeBertError(f"{place}: expected a JSON object a line, or an array of them: {found}") from None
    except (ValueError, RecursionError) as problem:  # such as a key that stands twice
        raise EdgeBertError(f"{place}: expected a JSON object a line: {problem}") from None
    if not isinstance(row, dict):
        raise EdgeBertError(f"{place}: expected a JSON object a line, found {line.strip()[:40]}")
    return row


class JsonReader:
    """Reads JSON of any size piece by piece: of the file no more is in memory than the value at hand."""

    def __init__(self, file: TextFile, text: str):
        """Read what begins with some text and goes on in a file."""
        self._file, self._text, self._place, self._number = file, text, 0, 1

    def objects(self) -> Iterator[tuple[int, Row]]:
        """Yield the objects of an array that comes next, and the line on which each begins."""
        self._take("[")
        found = self._next_of("]{")
        while found == "{":
            number = self._number
            yield number, self.value()
            found = self._next_of(",]")
            if found == ",":
                self._take(",")
                found = self._next_of("{")
        self._take("]")

    def members(self) -> Iterator[str]:
        """Yield the keys of an object that comes next; the value of each is to be read before the next is asked for."""
        self._take("{")
        found = self._next_of('"}')
        while found == '"':
            key = self.value()
            self._take(":")
            yield key
            found = self._next_of(",}")
            if found == ",":
                self._take(",")
                found = self._next_of('"')
        self._take("}")

    def value(self) -> Any:
        """Return the value that comes next, as a whole."""
        self._next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as problem:
                # It may lack what was not read yet; after so many characters it never will be right.
                if len(self._text) - self._place > MOST_CHARACTERS or not self._read_on():
                    raise self._error(f"expected a JSON object: {getattr(problem, 'msg', problem)}") from None
            else:
                # A number may go on in what was not read yet.
                if end < len(self._text) or not self._read_on():
                    self._go_to(end)
                    return value

    def check_end(self) -> None:
        """Raise an EdgeBertError if anything but white space follows."""
        if self._next_character():
            raise self._error("expected the end of the file after ']'")

    def _take(self, character: str) -> None:
        """Go on after the next character, which must be this one."""
        self._next_of(character)
        self._place += 1

    def _next_of(self, characters: str) -> str:
        """Return the next character, which must be one of some."""
        found = self._next_character()
        if not found or found not in characters:
            expected = " or ".join(f"'{one}'" for one in characters)
            raise self._error(
                f"expected {expected} in an array of objects, found {repr(found) if found else 'its end'}"
            )
        return found

    def _next_character(self) -> str:
        """Go on to the next character that is no white space, and return it; "" at the end of the file."""
        while (found := _NOT_SPACE.search(self._text, self._place)) is None:
            self._go_to(len(self._text))
            if not self._read_on():
                return ""
        self._go_to(found.start())
        return found[0]

    def _read_on(self) -> bool:
        """Read as much again as is left, so that a long object is not looked at from its beginning too often."""
        left = self._text[self._place :]
        more = self._file.piece(len(left))
        self._text, self._place = left + more, 0
        return bool(more)

    def _go_to(self, place: int) -> None:
        self._number += self._text.count("\n", self._place, place)
        self._place = place

    def _error(self, message: str) -> EdgeBertError:
        return EdgeBertError(f"{self._file.name}:{self._number}: {message}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's values by their keys, or raise a ValueError if a key stands twice: which one is meant?"""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice[:40]}' stands twice")
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
