from pathlib import Path

import pytest

from edgebert.elastic.events import Event, EventJournal, ScoreEvent, StepEvent, SubnetScore
from edgebert.errors import TrainingError


def scored(step: int, *, best: bool) -> ScoreEvent:
    found = SubnetScore("full-fp32", None, None, 0.5, 0.7)
    return ScoreEvent("depth", step, 4, 1.0, (found,), best)


EVENTS: list[Event] = [
    StepEvent("depth", 1, 4, 0.5, {"labels": 0.5}, 1e-3),
    scored(2, best=True),
    scored(3, best=False),
    StepEvent("depth", 4, 4, 2.0, {"labels": 0.25}, 1e-3),
]


def test_events_are_written_and_told(tmp_path: Path) -> None:
    told: list[Event] = []
    journal = EventJournal(tmp_path / "depth.jsonl", told.append)
    for event in EVENTS:
        journal(event)
    assert told == journal.file.read() == EVENTS
    assert journal.last() == EVENTS[-1]
    assert journal.best() == EVENTS[1]


def test_a_journal_that_lacks_what_is_asked_for_is_named(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path / "depth.jsonl")
    with pytest.raises(TrainingError, match=r"depth.jsonl: expected events, found none; remove its folder and train"):
        journal.last()
    journal(EVENTS[0])
    with pytest.raises(TrainingError, match=r"depth.jsonl: expected scores, found none"):
        journal.best()
