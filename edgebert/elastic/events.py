"""What happens while a training runs: events, written to a file of JSON lines and told to a listener."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from edgebert.errors import TrainingError
from edgebert.journal import Journal
from edgebert.records import Line, Natural, NotNegative, Record


class StageEvent(Record, frozen=True, tag_field="event"):
    """What happens at a step of a stage, of so many, and after so many seconds of work."""

    stage: Line
    step: Natural
    steps: Natural
    seconds: NotNegative


class StepEvent(StageEvent, frozen=True, tag="step"):
    """One step: the losses per text of each kind, summed over its sub-networks and weighted."""

    losses: dict[Line, float]
    learning_rate: float


class SubnetScore(Record, frozen=True):
    """The dev score of a sub-network and its loss per text, None without labels.

    Width and depth are None where it is no DynaBERT slice.
    """

    id: Line
    width: float | None
    depth: float | None
    score: float
    loss: float | None


class ScoreEvent(StageEvent, frozen=True, tag="scores"):
    """The dev scores of the sub-networks after a step; `best`: their sum is the highest so far."""

    scores: tuple[SubnetScore, ...]
    best: bool


class MaskEvent(StageEvent, frozen=True, tag="mask"):
    """The ticket that would be drawn after a step: how far from those before it, the newest first.

    `heads` and `neurons` are the shares of units that two tickets treat differently; `ties` are those that equal
    coefficients leave open, of heads and of neurons. `drawn`: the ticket is drawn here, and why.
    """

    heads: tuple[float, ...]
    neurons: tuple[float, ...]
    ties: tuple[float, float]
    drawn: Literal["settled", "at", "latest"] | None


class AugmentEvent(StageEvent, frozen=True, tag="augmented"):
    """Variants have been made of so many texts, of so many."""


class TrialEvent(StageEvent, frozen=True, tag="trial"):
    """The error of a candidate of a search for an architecture, after so many of at most so many."""

    candidate: Line
    error: float


Event = StepEvent | ScoreEvent | AugmentEvent | MaskEvent | TrialEvent
E = TypeVar("E", bound=Event)


# Is called with each event of a training.
Listener = Callable[[Event], None]


def no_listener(event: Event, /) -> None:
    """Do nothing with an event."""


class EventJournal:
    """The events of one stage in a file, which a resumed training cuts back to where its state was saved."""

    def __init__(self, path: Path, listener: Listener = no_listener):
        self.file = Journal[Event](path, Event, TrainingError)
        self._listener = listener

    def __call__(self, event: Event, /) -> None:
        """Write an event and tell the listener."""
        self.file.append(event)
        self._listener(event)

    def best(self) -> ScoreEvent:
        """Return the scores of the weights that were kept, or raise a TrainingError if none can be read."""
        found = [event for event in self.file.read() if isinstance(event, ScoreEvent) and event.best]
        return self._last(found, "scores")

    def last(self) -> Event:
        """Return the last event, or raise a TrainingError if none can be read."""
        return self._last(self.file.read(), "events")

    def _last(self, found: Sequence[E], what: str) -> E:
        if not found:
            raise TrainingError(f"{self.file.path}: expected {what}, found none; remove its folder and train again")
        return found[-1]
