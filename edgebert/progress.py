"""How long work tells its caller how far it is; the caller decides what to show."""

from collections.abc import Callable

# Hears how many steps are done, of how many, and what the last one was about.
Progress = Callable[[int, int, str], object]


def no_progress(done: int, total: int, what: str, /) -> None:
    """Tell nobody."""
