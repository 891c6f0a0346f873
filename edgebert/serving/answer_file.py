"""A file of answers, a line for each text: .tsv, .csv or .jsonl. A run that was interrupted goes on where it ended."""

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text
from edgebert.tasks.task import Answer

_ADVICE = "it is not of these texts and this bundle: choose another file or remove it"


@dataclass(frozen=True)
class Kept:
    """How many whole answers a file holds, and in how many bytes."""

    lines: int
    size_bytes: int


class _Scored(msgspec.Struct):
    label: str
    score: float


@dataclass(frozen=True)
class _Form:
    """How answers are written: what begins the file, an answer's line with its line break, and a line read again.

    `read` gives the labels, joined by commas, and the text (see `_shown`); one of `_UNREADABLE` if there are none.
    """

    header: bytes
    line: Callable[[Text, Answer], str]
    read: Callable[[str], tuple[str, str]]

    def beginnings(self, label: str) -> list[str]:
        """Return what a line may begin with if its first label is this one: a line that was cut off is known by it."""
        # What lines have in common which differ in all that follows the label.
        one = [{"label": label, "score": score} for score in (0.0, 1.0)]
        several = [[each, {"label": str(each["score"]), "score": 0.0}] for each in one]
        lines = ([self.line("", answer) for answer in answers] for answers in (one, several))
        return [os.path.commonprefix(pair) for pair in lines]  # noqa: RUF071  by characters, and no paths


def line_of(text: Text, answer: Answer) -> str:
    """Return an answer as a line to show: label, score and text, separated by tabs; several are joined by commas."""
    return "\t".join(_cells(text, answer)) + "\n"


def _read_tsv(line: str) -> tuple[str, str]:
    label, _, text = line.rstrip("\n").split("\t")
    return label, text


def _csv_line(text: Text, answer: Answer) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(_cells(text, answer))
    return row.getvalue()


def _read_csv(line: str) -> tuple[str, str]:
    ((label, _, text),) = csv.reader([line])
    return label, text


def _json_line(text: Text, answer: Answer) -> str:
    row = dict(answer) if isinstance(answer, dict) else {"answers": answer}
    row.update({"text": text} if isinstance(text, str) else {"text": text[0], "pair": text[1]})
    return msgspec.json.encode(row).decode() + "\n"


def _read_json(line: str) -> tuple[str, str]:
    row: dict[str, Any] = msgspec.json.decode(line, type=dict)
    answers = msgspec.convert(row.get("answers", [row]), list[_Scored])
    return ",".join(one.label for one in answers), _shown((row["text"], row["pair"]) if "pair" in row else row["text"])


# What reading a line raises that is no answer: the last two where JSON has no text, or one that is none.
_UNREADABLE = (ValueError, csv.Error, msgspec.DecodeError, KeyError, TypeError)

_FORMS = {
    ".tsv": _Form(b"", line_of, _read_tsv),
    ".csv": _Form(b"label,score,text\n", _csv_line, _read_csv),
    ".jsonl": _Form(b"", _json_line, _read_json),
}


def form_of(path: Path) -> _Form:
    """Return the form that answers have in a file of such a name.

    Raises:
        EdgeBertError: they cannot be written to such a file.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(_FORMS)
        raise EdgeBertError(f"expected a file for answers that ends in one of {known}, found '{path}'; rename it")
    return form


def kept(path: Path, texts: Iterable[Text], labels: Sequence[str]) -> Kept:
    """Return what a file holds of the answers to some texts; a torn last line does not count. Nothing is changed.

    Raises:
        EdgeBertError: it cannot be read, or holds anything else.
    """
    form = form_of(path)
    if not path.exists():
        return Kept(0, 0)
    lines = size_bytes = 0
    last = torn = b""
    try:
        with open(path, "rb") as file:
            header = file.read(len(form.header))
            for line in file:
                if line.endswith(b"\n"):
                    lines, size_bytes, last = lines + 1, size_bytes + len(line), line
                else:
                    torn = line
    except OSError as problem:
        raise EdgeBertError(f"cannot read {path}: {problem.strerror}; choose another file") from None

    if not form.header.startswith(header):
        raise EdgeBertError(f"{path}:1: expected {_quoted(form.header)}, found {_quoted(header)}; {_ADVICE}")
    if header != form.header:  # cut off within the header
        return Kept(0, 0)
    before = form.header.count(b"\n")
    if lines:
        # The last line alone: a file that was written for other texts, or in another order, differs there too.
        text = next(itertools.islice(texts, lines - 1, None), None)
        _check_line(form, last, text, labels, f"{path}:{lines + before}")
    # What is torn off will be cut off: it must not be somebody's only copy of something else.
    beginnings = (start.encode() for label in labels for start in form.beginnings(label))
    if torn and not any(torn.startswith(start) or start.startswith(torn) for start in beginnings):
        raise EdgeBertError(f"{path}:{lines + before + 1}: expected a label, found {_quoted(torn)}; {_ADVICE}")
    return Kept(lines, len(header) + size_bytes)


def append(path: Path, after: Kept, answers: Iterable[tuple[Text, Answer]]) -> None:
    """Write answers after those that are kept; whatever interrupts it, the whole lines of the file are right.

    Raises:
        EdgeBertError: the file cannot be written.
    """
    form = form_of(path)
    try:
        with open(path, "ab") as file:
            file.truncate(after.size_bytes)  # a torn last line is written anew
            if not after.size_bytes:
                file.write(form.header)
            for text, answer in answers:
                file.write(form.line(text, answer).encode())
    except OSError as problem:
        raise EdgeBertError(f"cannot write {path}: {problem.strerror}; choose another place or make room") from None


def _check_line(form: _Form, line: bytes, text: Text | None, labels: Sequence[str], place: str) -> None:
    """Raise an EdgeBertError if a line is not an answer to a text."""
    if text is None:
        raise EdgeBertError(f"{place}: expected no more answers than there are texts; {_ADVICE}")
    try:
        found, shown = form.read(line.decode())
    except _UNREADABLE:
        found = shown = ""
    if shown != _shown(text) or not _are_labels(found, labels):
        raise EdgeBertError(f"{place}: expected the answer to '{_shown(text)[:60]}', found {_quoted(line)}; {_ADVICE}")


def _are_labels(joined: str, labels: Sequence[str]) -> bool:
    """Return whether this is one of the labels, or several joined by commas; labels may hold commas themselves."""
    rests = [joined.removeprefix(label) for label in labels if joined.startswith(label)]
    return any(not rest or (rest[0] == "," and _are_labels(rest[1:], labels)) for rest in rests)


def _cells(text: Text, answer: Answer) -> list[str]:
    """Return label, score and text as three cells."""
    answers = [answer] if isinstance(answer, dict) else answer
    labels = ",".join(one["label"] for one in answers)
    return [labels, ",".join(f"{one['score']:.4f}" for one in answers), _shown(text)]


def _shown(text: Text) -> str:
    """Return a text or pair on one line, with single spaces."""
    return " ".join(" | ".join([text] if isinstance(text, str) else text).split())


def _quoted(line: bytes) -> str:
    return repr(line.decode(errors="replace").rstrip("\n")[:80])
