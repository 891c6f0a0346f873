"""Reads data files line by line: TSV, CSV, JSON lines and plain text, of any size. Knows nothing about models."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text

_COLUMNS = ("text", "pair", "label")


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

    def label_number(self, labels: Sequence[str]) -> int:
        """Return the number of this row's label, which may be given by name or by number.

        Raises:
            EdgeBertError: it has none, or one that is not among `labels`.
        """
        if self.label in labels:
            return labels.index(str(self.label))
        number = self.label if isinstance(self.label, str) and self.label.isdecimal() else ""
        if 0 < len(number) < 10 and int(number) < len(labels):
            return int(number)
        found = "no label" if self.label is None else f"label '{self.label}'"
        raise EdgeBertError(f"{self.place}: expected a label of {', '.join(labels)} (or its number), found {found}")


def read_examples(path: str | Path) -> Iterator[Example]:
    """Yield the rows of a file: .tsv, .csv or .jsonl by its ending, else a text a line; "-" is standard input.

    A header names the columns `text`, `pair` (optional) and `label` (optional); others are passed over.

    Raises:
        EdgeBertError: the file cannot be read, is empty or not UTF-8, or a row is incomplete; names the line.
    """
    if str(path) == "-":
        if sys.stdin is None:
            raise EdgeBertError("standard input is closed; pass a file")
        yield from _at_least_one(
            _plain_rows(_lines(sys.stdin.buffer, "standard input"), "standard input"), "standard input"
        )
        return
    rows = {".tsv": _tsv_rows, ".csv": _csv_rows, ".jsonl": _json_rows}.get(Path(path).suffix.lower(), _plain_rows)
    try:
        with open(path, "rb") as file:
            yield from _at_least_one(rows(_lines(file, str(path)), str(path)), str(path))
    except OSError as problem:
        raise EdgeBertError(f"cannot read {path}: {problem.strerror}; check the path") from None


def _at_least_one(examples: Iterator[Example], name: str) -> Iterator[Example]:
    first = next(examples, None)
    if first is None:
        raise EdgeBertError(f"{name} is empty; expected at least one text")
    yield first
    yield from examples


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            byte = line[problem.start]
            message = f"{name}:{number}: expected UTF-8, found byte 0x{byte:02x}; convert the file to UTF-8"
            raise EdgeBertError(message) from None


def _plain_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        yield _example({"text": line.rstrip("\r\n")}, f"{name}:{number}")


def _tsv_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    cells = (line.rstrip("\r\n").split("\t") for line in lines)
    yield from _table_rows(((number, row) for number, row in enumerate(cells, 1)), name)


def _csv_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    csv.field_size_limit(2**31 - 1)  # the default of 128 kB would refuse a long text
    reader = csv.reader(lines, strict=True)
    try:
        yield from _table_rows(((reader.line_num, row) for row in reader if row), name)
    except csv.Error as problem:
        raise EdgeBertError(f"{name}:{reader.line_num}: {problem}; check the quoting") from None


def _table_rows(rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[Example]:
    _, header = next(rows, (0, []))
    if header and "text" not in header:
        raise EdgeBertError(f"{name}:1: expected a header with a column 'text', found {', '.join(header)[:80]}")
    for number, cells in rows:
        if len(cells) != len(header):
            raise EdgeBertError(f"{name}:{number}: expected {len(header)} columns as in the header, found {len(cells)}")
        yield _example(dict(zip(header, cells, strict=True)), f"{name}:{number}")


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise EdgeBertError(f"{name}:{number}: expected a JSON object a line, found {problem}") from None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise EdgeBertError(f"{name}:{number}: expected a JSON object with a string 'text'")
        present = {column: row[column] for column in _COLUMNS if row.get(column) is not None}
        yield _example({column: str(value) for column, value in present.items()}, f"{name}:{number}")


def _example(row: dict[str, str], place: str) -> Example:
    if not row["text"].strip() or not row.get("pair", "-").strip():
        raise EdgeBertError(f"{place}: expected a text, found an empty one; leave the line out")
    return Example(row["text"], row.get("pair"), row.get("label"), place)
