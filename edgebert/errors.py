"""The errors that users see: each message says what was expected, what was found and what to do."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

# Of a message that somebody reads, and in it of a path or a value, of a name, and of names that are listed.
_MOST_CHARACTERS, _MOST_OF_A_WORD, _MOST_OF_A_NAME, _MOST_OF_NAMES, _MOST_NAMES = 500, 160, 60, 300, 24

# Control characters but line feed and tab, and those that change the direction of what follows: a text, a label or a
# name from a file must not move the cursor, colour the screen or hide a part of a line.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LINE_BREAKS = re.compile(r"\s*[\r\n\t\v\f]\s*")


class EdgeBertError(Exception):
    """Something that the user can put right; the message is one line of a few hundred characters at most."""

    # Here, since a message may quote anything: a path, a value in a file, what a library says.
    def __init__(self, message: str):
        super().__init__(one_line(message))


class BundleError(EdgeBertError):
    """A bundle is missing, damaged, of another version, or lacks what was asked for."""


class OutputError(BundleError):
    """A graph cannot be run, or gives what no answer can be made of; perhaps only as this engine computes it."""


class ProfileError(EdgeBertError):
    """A profile is missing, damaged, of another bundle, or could not be measured."""


class ExportError(EdgeBertError):
    """A checkpoint cannot be exported, or an exported graph does not compute what its checkpoint does."""


class TrainingError(EdgeBertError):
    """A checkpoint cannot be trained with these data and settings, or training failed."""


class BudgetError(EdgeBertError):
    """No sub-network meets the budget; `nearest` is the closest miss (a `Miss`) or None."""

    # `Miss` is of the package `choosing`, which this file knows nothing of.
    def __init__(self, message: str, nearest: Any = None):
        super().__init__(message)
        self.nearest = nearest


def listed(names: Sequence[str]) -> str:
    """Return names for a message, separated by commas; of very many the first, and how many more there are."""
    # A model may have thousands of labels, and a message is one line that somebody reads.
    shown: list[str] = []
    for name in map(shortened, names[:_MOST_NAMES]):
        if shown and len(", ".join([*shown, name])) > _MOST_OF_NAMES:
            break
        shown.append(name)
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def shortened(text: str, most: int = _MOST_OF_A_NAME) -> str:
    """Return a text of so many characters at most: of a longer one the beginning and the end, as of a path."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def one_line(message: str) -> str:
    """Return a message or a name without line breaks and control characters; long words and all of it are cut short."""
    # What is no Unicode, as a path may be, becomes escapes too: no file could hold it.
    message = message.encode(errors="backslashreplace").decode()
    words = _LINE_BREAKS.sub(" ", message.strip()).split(" ")
    return shortened(printable(" ".join(shortened(word, _MOST_OF_A_WORD) for word in words)), _MOST_CHARACTERS)


def printable(text: str) -> str:
    """Return a text whose control characters are written as escapes, which JSON reads back as the characters."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def cause_of(problem: BaseException) -> str:
    """Return why something failed, without the path that an OSError's text repeats and the message names anyway."""
    # Only the system's own errors have a strerror: gzip's, for example, are OSErrors that have none.
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__


@contextlib.contextmanager
def needing(extra: str, work: str) -> Iterator[None]:
    """Say which extra of edgebert brings a library that some work needs and that cannot be imported.

    Raises:
        EdgeBertError: an import failed inside the `with`.
    """
    try:
        yield
    except ImportError as problem:
        raise EdgeBertError(f"{work} needs {problem.name}; pip install 'edgebert[{extra}]'") from None
