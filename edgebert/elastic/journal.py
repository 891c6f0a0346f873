"""What a training says of itself while it runs: events, to a JSON-lines file and to whoever listens."""

from pathlib import Path
from typing import Literal, Protocol, TypeVar

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


class MaskEvent(Record, frozen=True, tag="mask", tag_field="event"):
    """The ticket that would be drawn after a step: how far from those before it, the newest first.

    `heads` and `neurons` are the shares of units that two tickets treat differently; `ties` are those that equal
    coefficients leave open, of heads and of neurons. `drawn`: the ticket is drawn here, and why.
    """

    stage: str
    step: int
    steps: int
    heads: tuple[float, ...]
    neurons: tuple[float, ...]
    ties: tuple[float, float]
    drawn: Literal["settled", "at", "latest"] | None
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


Event = StepEvent | ScoreEvent | AugmentEvent | MaskEvent | TrialEvent
E = TypeVar("E", bound=Event)


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
        return self._last([event for event in self._events() if isinstance(event, ScoreEvent) and event.best])

    def last(self) -> Event:
        """Return the last event.

        Raises:
            TrainingError: the file cannot be read, or holds none.
        """
        return self._last(self._events())

    def _events(self) -> list[Event]:
        try:
            return [msgspec.json.decode(line, type=Event) for line in self._path.read_bytes().splitlines()]
        except (OSError, msgspec.DecodeError) as problem:
            raise self._damaged(problem) from None

    def _last(self, events: list[E]) -> E:
        if not events:
            raise self._damaged("expected a result, found none")
        return events[-1]

    def _damaged(self, problem: object) -> TrainingError:
        return TrainingError(f"{self._path} is damaged: {problem}; remove its folder and train again")

    @property
    def size_bytes(self) -> int:
        """The size of the file, to go back to."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size_bytes: int) -> None:
        """Forget what was written after the file had this size."""
        if self.size_bytes > size_bytes:
            with open(self._path, "r+b") as file:
                file.truncate(size_bytes)
