"""Edits of data files: line ends, columns, cells, quotes. Those in `NEUTRAL` change nothing that a reader may see."""

import codecs
import csv
import io
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz.edits import Edit

CELLS = (
    "",
    " ",
    "nan",
    "NaN",
    "null",
    "None",
    "\x00",
    '"',
    '"a',
    'a"b',
    "a\tb",
    "a,b",
    "\udced\udca0\udc80",
    "\U0001f600",
    "1e400",
)
CELLS += ("٣", "²", "+1", "1_0", "0x1", "01", "-0", "1.0", "=1+1", "\x1b[2J", "\u2028", "\x85", "\x0b", "a" * 1_000_000)
CELLS += ("1" * 5000, "[1, 2]", "{}", "a b " * 50_000, "\ufeff", "\u202e")
NAMES = (
    "text",
    "label",
    "labels",
    "pair",
    "sentence1",
    "sentence2",
    "sentence",
    " label",
    "Label",
    "TEXT",
    "",
    "text\x00",
)
NAMES += ("question", "context", "hypothesis", "idx", "\ufefftext", "target", "tokens", "text ", "x" * 1000, "\x1b[2J")


def _delimiter(text: str) -> str:
    return "\t" if "\t" in text.partition("\n")[0] else ","


def _rows(text: str, delimiter: str) -> list[list[str]]:
    if delimiter == "\t":
        return [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return list(csv.reader(io.StringIO(text, newline="")))


def _text(rows: list[list[str]], delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    if delimiter == "\t":
        return "".join("\t".join(row) + "\n" for row in rows)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def _on_rows(change: Callable[..., None], quoting: int = csv.QUOTE_MINIMAL) -> Callable[..., bytes]:
    """Return what reads a table, changes its rows and writes it again."""

    def apply(content: bytes, *arguments: Any) -> bytes:
        text = content.decode("utf-8", "surrogateescape")
        delimiter = _delimiter(text)
        try:
            rows = _rows(text, delimiter)
            change(rows, *arguments)
        except (csv.Error, IndexError, ValueError):
            return content  # an earlier step left no table
        return _text(rows, delimiter, quoting).encode("utf-8", "surrogateescape")

    return apply


def _column(random: Random, content: bytes) -> int:
    return random.randrange(1 + content.partition(b"\n")[0].count(b"\t" if b"\t" in content else b","))


def _row(random: Random, content: bytes) -> int:
    return random.randrange(1, 2 + content.count(b"\n"))


def _set_cell(rows: list[list[str]], row: int, column: int, value: str) -> None:
    rows[row][column] = value


def _double_column(rows: list[list[str]], column: int, name: str) -> None:
    for place, row in enumerate(rows):
        row.append(row[column] if place or not name else name)


def _drop_column(rows: list[list[str]], column: int) -> None:
    for row in rows:
        del row[column]


def _reverse_columns(rows: list[list[str]]) -> None:
    for row in rows:
        row.reverse()


def _more_column(rows: list[list[str]]) -> None:
    for place, row in enumerate(rows):
        row.insert(0, str(place) if place else "index")


def _line_ends(content: bytes, end: str) -> bytes:
    return content.replace(b"\n", end.encode())


TABLE_EDITS = {
    "cell": Edit(lambda r, c: [_row(r, c), _column(r, c), r.choice(CELLS)], _on_rows(_set_cell)),
    "cell-drop": Edit(
        lambda r, c: [_row(r, c), _column(r, c)], _on_rows(lambda rows, row, column: rows[row].pop(column))
    ),
    "header": Edit(lambda r, c: [0, _column(r, c), r.choice(NAMES)], _on_rows(_set_cell)),
    "column-twice": Edit(lambda r, c: [_column(r, c), r.choice(("", "", *NAMES))], _on_rows(_double_column)),
    "column-drop": Edit(lambda r, c: [_column(r, c)], _on_rows(_drop_column)),
    "line-ends": Edit(
        lambda r, c: [r.choice(("\r", "\n\r", "\n\n", "\u2028", "\x0b", "\x0c", "\x85", "\x00\n", " \n"))], _line_ends
    ),
    "bare": Edit(
        lambda r, c: [_row(r, c), r.choice(('"', '""', '"a"b', "\\", "{", "\x00"))],
        _on_rows(lambda rows, row, text: rows.insert(row, [text])),
    ),
}
NEUTRAL_EDITS = {
    "crlf": Edit(lambda r, c: [], lambda c: c.replace(b"\n", b"\r\n")),
    # Once: a second one is a character of the text.
    "mark": Edit(lambda r, c: [], lambda c: c if c.startswith(codecs.BOM_UTF8) else codecs.BOM_UTF8 + c),
    "blank-end": Edit(lambda r, c: [r.choice((1, 2, 5))], lambda c, times: c + b"\n" * times),
    "no-end": Edit(lambda r, c: [], lambda c: c.rstrip(b"\n")),
}
# Of tables alone.
NEUTRAL_TABLE_EDITS = {
    "reverse-columns": Edit(lambda r, c: [], _on_rows(_reverse_columns)),
    "more-column": Edit(lambda r, c: [], _on_rows(_more_column)),
    "quote-all": Edit(lambda r, c: [], _on_rows(lambda rows: None, csv.QUOTE_ALL)),
}
NEUTRAL = {*NEUTRAL_EDITS, *NEUTRAL_TABLE_EDITS}
