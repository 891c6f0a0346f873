"""The errors that users see: each message says what was expected, what was found and what to do."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

_MOST_LISTED = 24


class EdgeBertError(Exception):
    """Something that the user can put right; the message is one line."""


class BundleError(EdgeBertError):
    """A bundle is missing, damaged, of another version, or lacks what was asked for."""


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
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


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
