"""A file of answers, a line for each text: .tsv, .csv or .jsonl. A run that was interrupted goes on where it ended."""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from edgebert import records
from edgebert.errors import EdgeBertError, cause_of
from edgebert.inputs.text_file import MOST_CHARACTERS
from edgebert.inputs.tokenization import Text
from edgebert.serving.answer_origin import AnswerOrigin, record_of
from edgebert.serving.vector_file import SUFFIX, VectorFile, opened_vectors
from edgebert.tasks.task import Answer, Task

try:
    import fcntl
except ImportError:  # Windows, where two processes with one file are not told apart
    fcntl = None  # type: ignore[assignment]

_ADVICE = "it is not of these texts and this bundle: choose another file, or remove it to begin anew"


@dataclass(frozen=True)
class Kept:
    """How many whole answers a file holds, and in how many bytes."""

    lines: int
    size_bytes: int


class AnswerFile:
    """An open file of answers, and what it held when it was opened."""

    def __init__(self, task: Task, form: "_Form", file: BinaryIO, kept: Kept):
        """Go on after what is kept; `opened` makes one."""
        self.kept, self.lines = kept, kept.lines
        self._task, self._form, self._file = task, form, file

    def append(self, answers: Iterable[tuple[Text, Answer]]) -> None:
        """Write answers after those that are kept; whatever interrupts it, the whole lines of the file are right."""
        self._file.seek(self.kept.size_bytes)
        self._file.truncate()  # a torn last line is written anew
        before = b"" if self.kept.size_bytes else self._form.header(self._task)
        for text, answer in answers:
            self._file.write(before + self._form.line(self._task, text, answer).encode())
            before = b""


@dataclass(frozen=True)
class _Form:
    """How answers are written: what begins the file, an answer's line with its line break, and a line read again.

    `read` gives the first cell and the text (see `_shown`); one of `_UNREADABLE` if there are none.
    """

    header: Callable[[Task], bytes]
    line: Callable[[Task, Text, Answer], str]
    read: Callable[[Task, str], tuple[str, str]]

    def beginnings(self, task: Task, cell: str) -> list[str]:
        """Return what a line may begin with if its first cell begins so: a line that was cut off is known by it."""
        # What lines have in common which differ in all that follows the cell.
        one = [{"label": cell, "score": score} for score in (0.0, 1.0)]
        several = [[each, {"label": str(each["score"]), "score": 0.0}] for each in one]
        lines = ([self.line(task, "", answer) for answer in answers] for answers in (one, several))
        return [os.path.commonprefix(pair) for pair in lines]  # noqa: RUF071  by characters, and no paths


def line_of(task: Task, text: Text, answer: Answer) -> str:
    """Return an answer as a line to show: label, score and text, separated by tabs; several are joined by commas."""
    return "\t".join(_cells(task, text, answer)) + "\n"


def brief_line_of(task: Task, text: Text, answer: Answer) -> str:
    """Return the line of an answer as short as a terminal needs it."""
    return "\t".join([*map(_one_line, task.brief_cells(answer)), _shown(text)]) + "\n"


def _read_tsv(task: Task, line: str) -> tuple[str, str]:
    label, _, text = line.rstrip("\n").split("\t")
    return label, text


def _csv_line(task: Task, text: Text, answer: Answer) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(_cells(task, text, answer))
    return row.getvalue()


def _read_csv(task: Task, line: str) -> tuple[str, str]:
    csv.field_size_limit(max(csv.field_size_limit(), MOST_CHARACTERS))  # by default 128 kB, for the whole process
    ((label, _, text),) = csv.reader([line])
    return label, text


def _json_line(task: Task, text: Text, answer: Answer) -> str:
    found = task.plain(answer)
    row = dict(found) if isinstance(found, dict) else {task.ANSWER_KEY: found}
    row.update({"text": text} if isinstance(text, str) else {"text": text[0], "pair": text[1]})
    return msgspec.json.encode(row).decode() + "\n"


def _read_json(task: Task, line: str) -> tuple[str, str]:
    row: dict[str, Any] = msgspec.json.decode(line, type=dict)
    text = (row.pop("text"), row.pop("pair")) if "pair" in row else row.pop("text")
    cell, _ = task.cells(row.get(task.ANSWER_KEY, row))
    return _one_line(cell), _shown(text)


# What reading a line raises that is no answer: the last two where JSON has no text, or one that is none.
_UNREADABLE = (ValueError, csv.Error, msgspec.DecodeError, KeyError, TypeError, RecursionError)

_FORMS = {
    ".tsv": _Form(lambda _: b"", line_of, _read_tsv),
    ".csv": _Form(lambda task: f"{','.join(task.COLUMNS)},text\n".encode(), _csv_line, _read_csv),
    ".jsonl": _Form(lambda _: b"", _json_line, _read_json),
}


def form_of(path: Path) -> _Form:
    """Return the form that answers have in a file of such a name.

    Raises:
        EdgeBertError: they cannot be written to such a file.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        known = ", ".join([*_FORMS, SUFFIX])
        raise EdgeBertError(f"expected a file for answers that ends in one of {known}, found '{path}'; rename it")
    return form


def check_place(path: Path) -> None:
    """Raise an EdgeBertError if no answers can be written at a path, whatever it holds."""
    if path.is_dir():
        raise EdgeBertError(f"expected a file for answers, found the folder '{path}'; name a file in it")
    if path.exists() and not path.is_file():
        raise EdgeBertError(f"expected a plain file for answers, found the pipe or device '{path}'; use the shell's >")
    if path.suffix.lower() != SUFFIX:
        form_of(path)


@contextlib.contextmanager
def opened(path: Path, texts: Iterable[Text], task: Task, origin: AnswerOrigin) -> Iterator["AnswerFile | VectorFile"]:
    """Give the file of the answers to some texts, for this process alone: a new one, or one that is gone on with.

    What it was made with stands beside it in a hidden file, also when it is finished: so it never gets answers of
    another network, and the same command once more has nothing to do.

    Raises:
        EdgeBertError: it cannot be read or written, another process writes it, or it holds anything but answers to
            these texts of the same origin; then it is untouched.
    """
    check_place(path)
    dims = task.dims_of(task.options(origin.options))
    if dims is None and path.suffix.lower() == SUFFIX:
        raise EdgeBertError(f"{SUFFIX} is for embeddings, found {task.NAME}; name a file that ends in .tsv or .jsonl")
    # What a link leads to: by whichever name the file is reached, the record stands beside it.
    target = path.resolve()
    record = record_of(target)
    is_new = not target.exists()
    try:
        with open(target, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666)) as file:
            _lock(file, path)
            try:
                if file.read(1):
                    _check_origin(path, record, origin)
                with _continued(path, file, texts, task, dims) as answers:
                    if not answers.lines:
                        # In place: should it be torn, there is no answer yet that it would be needed for.
                        record.write_bytes(records.encode(origin))
                    yield answers
            finally:
                file.flush()
                # Who failed before the first answer leaves nothing behind.
                if is_new and not os.fstat(file.fileno()).st_size:
                    target.unlink()
                    record.unlink(missing_ok=True)
    except OSError as problem:
        raise EdgeBertError(f"cannot write {path}: {cause_of(problem)}; choose another place or make room") from None


@contextlib.contextmanager
def _continued(
    path: Path, file: BinaryIO, texts: Iterable[Text], task: Task, dims: int | None
) -> Iterator["AnswerFile | VectorFile"]:
    """Give what goes on after the whole answers that an open file has."""
    if dims is not None and path.suffix.lower() == SUFFIX:
        with opened_vectors(path, file, path.resolve(), texts, dims) as vectors:
            yield vectors
    else:
        file.seek(0)
        yield AnswerFile(task, form_of(path), file, _kept(path, file, texts, task))


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep other processes from writing a file until this one closes it or ends, in whichever way."""
    if fcntl is None:
        return
    try:
        # The file itself, and none beside it: it may be reached by several names, and no lock is left behind.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"{path} is being written by another process; wait until it is done, or choose another file"
        raise EdgeBertError(message) from None
    except OSError:  # a file system that has no locks
        return
    if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        raise EdgeBertError(f"{path} was replaced by another process; run the same command again")


def _check_origin(path: Path, record: Path, origin: AnswerOrigin) -> None:
    """Raise an EdgeBertError unless what a file holds was made as what comes next would be."""
    advice = "choose another file, or remove it to begin anew"
    if not record.exists():
        raise EdgeBertError(f"{path} is not empty, and no {record.name} beside it says what made it; {advice}")
    before, now = records.read(record, AnswerOrigin, EdgeBertError).settings(), origin.settings()
    names = [name for name in now if before[name] != now[name]]
    differing = [f"{name} {str(before[name])[:40]} (now {str(now[name])[:40]})" for name in names]
    if differing:
        raise EdgeBertError(f"{path} was begun with {', '.join(differing)}; give the same options, {advice}")


def _kept(path: Path, file: BinaryIO, texts: Iterable[Text], task: Task) -> Kept:
    """Return what a file holds of the answers to some texts; a torn last line does not count. Nothing is changed.

    Raises:
        EdgeBertError: it holds anything else.
    """
    form = form_of(path)
    expected = form.header(task)
    header = file.read(len(expected))
    if not expected.startswith(header):
        raise EdgeBertError(f"{path}:1: expected {_quoted(expected)}, found {_quoted(header)}; {_ADVICE}")
    if header != expected:  # cut off within the header
        return Kept(0, 0)

    size_bytes, lines, known = len(header), 0, iter(texts)
    beginning = expected.count(b"\n") + 1
    for line in file:
        place = f"{path}:{beginning + lines}"
        if line.endswith(b"\n"):
            # Every line, since one text of the input may have been changed, and all others be as they were.
            _check_line(form, line, next(known, None), task, place)
            lines, size_bytes = lines + 1, size_bytes + len(line)
        else:
            _check_torn(form, line, task, place)
    return Kept(lines, size_bytes if lines else 0)


def _check_torn(form: _Form, line: bytes, task: Task, place: str) -> None:
    """Raise an EdgeBertError for a last line that was not torn off an answer: it will be cut off."""
    if task.known_cells is None:
        return
    beginnings = (start.encode() for cell in task.known_cells for start in form.beginnings(task, cell))
    if not any(line.startswith(start) or start.startswith(line) for start in beginnings):
        raise EdgeBertError(f"{place}: expected a label, found {_quoted(line)}; {_ADVICE}")


def _check_line(form: _Form, line: bytes, text: Text | None, task: Task, place: str) -> None:
    """Raise an EdgeBertError if a line is not an answer to a text."""
    if text is None:
        raise EdgeBertError(f"{place}: expected no more answers than there are texts; {_ADVICE}")
    try:
        found, shown = form.read(task, line.decode())
    except _UNREADABLE:
        found = shown = ""
    if shown != _shown(text) or not _is_known(found, task):
        raise EdgeBertError(f"{place}: expected the answer to '{_shown(text)[:60]}', found {_quoted(line)}; {_ADVICE}")


def _is_known(cell: str, task: Task) -> bool:
    """Return whether a task has answers with such a first cell."""
    known = task.known_cells
    return known is None or cell in known or _are_labels(cell, [_one_line(label) for label in known])


def _are_labels(joined: str, labels: Sequence[str]) -> bool:
    """Return whether this is one of the labels, or several joined by commas; labels may hold commas themselves."""
    rests = [joined.removeprefix(label) for label in labels if joined.startswith(label)]
    return any(not rest or (rest[0] == "," and _are_labels(rest[1:], labels)) for rest in rests)


def _cells(task: Task, text: Text, answer: Answer) -> list[str]:
    """Return what an answer's line shows, and its text, as three cells."""
    label, score = task.cells(answer)
    return [_one_line(label), score, _shown(text)]


def _shown(text: Text) -> str:
    """Return a text or pair on one line, with single spaces."""
    return _one_line(" | ".join([text] if isinstance(text, str) else text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(line: bytes) -> str:
    return repr(line.decode(errors="replace").rstrip("\n")[:80])
