"""How long work tells its caller how far it is; the caller decides what to show."""

from typing import Protocol


class Progress(Protocol):
    """Hears how many steps are done, of how many, and what the last one was about."""

    def __call__(self, done: int, total: int, subnet_id: str, /) -> None:
        """Hear of a step."""


def no_progress(done: int, total: int, subnet_id: str, /) -> None:
    """Tell nobody."""
