"""Reads data files line by line: TSV, CSV, JSON lines and plain text, of any size. Knows nothing about models."""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text

# What columns are called, our own names first. Those of a couple mean a text and its pair only where both are there.
_TEXTS = ("text", "sentence")
_PAIRS = ("pair", "text_pair")
_COUPLES = {"sentence1": "sentence2", "premise": "hypothesis", "question": "context"}
_LABELS = ("label", "labels")

_NO_JSON_TEXT = "expected a JSON object with a string 'text'"


@dataclass(frozen=True)
class Example:
    """One row of a data file: its text, the pair and the label if it has them, and where it stands.

    A label is text as it was read; a list of them, as JSON lines may give for a text, is a tuple.
    """

    text: str
    pair: str | None
    label: str | tuple[str, ...] | None
    place: str

    @property
    def input(self) -> Text:
        """The text, or the (text, pair) tuple, as a Predictor takes it."""
        return self.text if self.pair is None else (self.text, self.pair)


def read_examples(path: str | Path) -> Iterator[Example]:
    """Yield the rows of a file: .tsv, .csv or .jsonl by its ending, else a text a line; "-" is standard input.

    Columns are `text`, `pair` and `label`, the last two optional, or common other names of them; any others are passed
    over. JSON lines may give several labels as a list.

    Raises:
        EdgeBertError: the file cannot be read, is empty or not UTF-8, a row is incomplete, or two columns could
            be meant; names the line.
    """
    is_stdin = str(path) == "-"
    if is_stdin and sys.stdin is None:
        raise EdgeBertError("standard input is closed; pass a file")
    name = "standard input" if is_stdin else str(path)
    rows = {".tsv": _tsv_rows, ".csv": _csv_rows, ".jsonl": _json_rows}.get(Path(path).suffix.lower(), _plain_rows)
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if is_stdin else open(path, "rb") as file:
            examples = rows(_lines(file, name), name)
            first = next(examples, None)
            if first is None:
                raise EdgeBertError(f"{name} is empty; expected at least one text")
            yield first
            yield from examples
    except OSError as problem:
        raise EdgeBertError(f"cannot read {name}: {problem.strerror}; check the path") from None


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            # What Windows writes begins with a byte order mark, which is no part of the first column's name.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            byte = line[problem.start]
            message = f"{name}:{number}: expected UTF-8, found byte 0x{byte:02x}; convert the file to UTF-8"
            raise EdgeBertError(message) from None


def _plain_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        yield _example({"text": line.rstrip("\r\n")}, _Columns("text", None, None), f"{name}:{number}")


def _tsv_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    yield from _table_rows(enumerate((line.rstrip("\r\n").split("\t") for line in lines), 1), name)


def _csv_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    import csv  # only here, since every import of edgebert would take longer for it

    csv.field_size_limit(2**31 - 1)  # the default of 128 kB would refuse a long text
    reader = csv.reader(lines, strict=True)  # else a quote that is never closed would swallow the rest of the file
    try:
        yield from _table_rows(((reader.line_num, row) for row in reader if row), name)
    except csv.Error as problem:
        raise EdgeBertError(f"{name}:{reader.line_num}: {problem}; check the quoting") from None


def _table_rows(rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[Example]:
    _, header = next(rows, (0, []))
    if not header:
        return
    no_text = f"expected a header with a column 'text', found {', '.join(header)[:80]}"
    columns = _columns(header, f"{name}:1", no_text)
    for number, cells in rows:
        if len(cells) != len(header):
            raise EdgeBertError(f"{name}:{number}: expected {len(header)} columns as in the header, found {len(cells)}")
        yield _example(dict(zip(header, cells, strict=True)), columns, f"{name}:{number}")


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        place = f"{name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise EdgeBertError(f"{place}: expected a JSON object a line, found {problem}") from None
        present = {key: row[key] for key in row if row[key] is not None} if isinstance(row, dict) else {}
        # Each line has its own, since JSON lines may leave out what is null.
        columns = _columns(list(present), place, _NO_JSON_TEXT)
        if not isinstance(present[columns.text], str):
            raise EdgeBertError(f"{place}: {_NO_JSON_TEXT}")
        yield _example(present, columns, place)


@dataclass(frozen=True)
class _Columns:
    """Which columns hold the text, the pair and the label; None for what a file has not."""

    text: str
    pair: str | None
    label: str | None


def _columns(names: Sequence[str], place: str, no_text: str) -> _Columns:
    """Return which of some columns hold what; `no_text` is the message where none is a text."""
    couples = [first for first, second in _COUPLES.items() if first in names and second in names]
    text = _only([*(name for name in names if name in _TEXTS), *couples], "the text", place)
    if text is None:
        raise EdgeBertError(f"{place}: {no_text}")

    partners = (*_PAIRS, _COUPLES.get(text))
    pair = _only([name for name in names if name in partners], "the pair", place)
    return _Columns(text, pair, _only([name for name in names if name in _LABELS], "the label", place))


def _only(found: Sequence[str], meaning: str, place: str) -> str | None:
    """Return the one column that may be meant, None if there is none."""
    if len(found) > 1:
        both = " and ".join(found)
        raise EdgeBertError(f"{place}: expected one column for {meaning}, found {both}; rename the others")
    return found[0] if found else None


def _example(row: Mapping[str, Any], columns: _Columns, place: str) -> Example:
    text = row[columns.text]
    pair = None if columns.pair is None else str(row[columns.pair])
    label = None if columns.label is None else _label(row[columns.label], place)
    if not text.strip() or (pair is not None and not pair.strip()):
        raise EdgeBertError(f"{place}: expected a text, found an empty one; leave the line out")
    return Example(text, pair, label, place)


def _label(value: Any, place: str) -> str | tuple[str, ...]:
    """Return a label as text, or several of a list."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise EdgeBertError(f"{place}: expected a label as text, a number or a list of them, found {str(value)[:80]}")
    return tuple(map(str, values)) if isinstance(value, list) else str(value)
