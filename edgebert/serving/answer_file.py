"""A file of answers, a line for each text, that is gone on with where it was interrupted."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text
from edgebert.serving.predictor import Prediction

_ADVICE = "it is not of these texts and this bundle: choose another file or remove it"


@dataclass(frozen=True)
class Kept:
    """How many whole lines a file holds, and in how many bytes."""

    lines: int
    size_bytes: int


def line_of(text: Text, prediction: Prediction) -> str:
    """Return an answer's line: label, score and text, separated by tabs."""
    return f"{prediction['label']}\t{prediction['score']:.4f}\t{_shown(text)}\n"


def _shown(text: Text) -> str:
    return " ".join(" | ".join([text] if isinstance(text, str) else text).split())


def kept(path: Path, texts: Iterable[Text], labels: Sequence[str]) -> Kept:
    """Return what a file holds of the answers to some texts; a torn last line does not count. Nothing is changed.

    Raises:
        EdgeBertError: it cannot be read, or holds anything else.
    """
    if not path.exists():
        return Kept(0, 0)
    lines = size_bytes = 0
    last = torn = b""
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    lines, size_bytes, last = lines + 1, size_bytes + len(line), line
                else:
                    torn = line
    except OSError as problem:
        raise EdgeBertError(f"cannot read {path}: {problem.strerror}; choose another file") from None
    if lines:
        _check_line(last, next(itertools.islice(texts, lines - 1, None), None), labels, f"{path}:{lines}")
    if torn and not any(_agree(torn, f"{label}\t".encode()) for label in labels):
        raise EdgeBertError(
            f"{path}:{lines + 1}: expected a label, found {torn[:80].decode(errors='replace')!r}; {_ADVICE}"
        )
    return Kept(lines, size_bytes)


def _check_line(line: bytes, text: Text | None, labels: Sequence[str], place: str) -> None:
    """Raise an EdgeBertError if a line is not an answer to a text."""
    if text is None:
        raise EdgeBertError(f"{place}: expected no more answers than there are texts; {_ADVICE}")
    label, _, rest = line.decode(errors="replace").rstrip("\n").partition("\t")
    shown = rest.partition("\t")[2]
    if label not in labels or shown != _shown(text):
        expected = f"the answer to '{_shown(text)[:60]}'"
        raise EdgeBertError(f"{place}: expected {expected}, found '{label[:20]}' for '{shown[:60]}'; {_ADVICE}")


def _agree(first: bytes, second: bytes) -> bool:
    """Return whether one begins with the other."""
    return first.startswith(second) or second.startswith(first)


def append(path: Path, after: Kept, answers: Iterable[tuple[Text, Prediction]]) -> None:
    """Write answers after those that are kept; whatever interrupts it, the whole lines of the file are right.

    Raises:
        EdgeBertError: the file cannot be written.
    """
    try:
        with open(path, "ab") as file:
            file.truncate(after.size_bytes)
            for text, prediction in answers:
                file.write(line_of(text, prediction).encode())
    except OSError as problem:
        raise EdgeBertError(f"cannot write {path}: {problem.strerror}; choose another place or make room") from None
