"""What a training says of itself while it runs: events, to a JSON-lines file and to whoever listens."""

from pathlib import Path
from typing import Protocol

import msgspec

from edgebert.errors import TrainingError
from edgebert.records import Record


class StepEvent(Record, frozen=True, tag="step", tag_field="event"):
    """One step: the losses per text of each kind, summed over its sub-networks and weighted."""

    stage: str
    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float


class ScoreEvent(Record, frozen=True, tag="scores", tag_field="event"):
    """The dev score of each sub-network after a step, and their loss; `best`: the highest sum of scores so far."""

    stage: str
    step: int
    steps: int
    scores: dict[str, float]
    losses: dict[str, float]
    best: bool
    seconds: float


class AugmentEvent(Record, frozen=True, tag="augmented", tag_field="event"):
    """So many texts have been varied, of so many."""

    step: int
    steps: int
    seconds: float
    stage: str = "augment"


class TrialEvent(Record, frozen=True, tag="trial", tag_field="event"):
    """The error of a candidate of a search for an architecture, after so many of at most so many."""

    step: int
    steps: int
    candidate: str
    error: float
    seconds: float
    stage: str = "search"


Event = StepEvent | ScoreEvent | AugmentEvent | TrialEvent


class Listener(Protocol):
    """Hears of what happens in a training."""

    def __call__(self, event: Event, /) -> None:
        """Hear of an event."""


def no_listener(event: Event, /) -> None:
    """Tell nobody."""


class Journal:
    """A file with one event a line, which a resumed training cuts back to where its state was saved."""

    def __init__(self, path: Path, listener: Listener = no_listener):
        self._path, self._listener = path, listener

    def __call__(self, event: Event, /) -> None:
        """Write an event and tell the listener."""
        with open(self._path, "ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self._listener(event)

    def best(self) -> ScoreEvent:
        """Return the scores of the weights that were kept.

        Raises:
            TrainingError: the file cannot be read, or holds no scores.
        """
        try:
            lines = self._path.read_bytes().splitlines()
            events = [msgspec.json.decode(line, type=Event) for line in lines]
            return [event for event in events if isinstance(event, ScoreEvent) and event.best][-1]
        except (OSError, msgspec.DecodeError, IndexError) as problem:
            raise TrainingError(f"{self._path} is damaged: {problem}; remove its folder and train again") from None

    @property
    def size_bytes(self) -> int:
        """The size of the file, to go back to."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size_bytes: int) -> None:
        """Forget what was written after the file had this size."""
        if self.size_bytes > size_bytes:
            with open(self._path, "r+b") as file:
                file.truncate(size_bytes)
