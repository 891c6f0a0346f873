import os
from pathlib import Path

import pytest

from edgebert.errors import TrainingError
from edgebert.journal import Journal
from edgebert.records import Record


class Point(Record, frozen=True, tag="point"):
    x: int


class Name(Record, frozen=True, tag="name"):
    text: str


WRITTEN: list[Point | Name] = [Point(1), Name("a\nb"), Point(3)]


@pytest.fixture
def journal(tmp_path: Path) -> Journal[Point | Name]:
    return Journal(tmp_path / "journal.jsonl", Point | Name, TrainingError)


def test_what_is_appended_is_read_back_in_order(journal: Journal[Point | Name]) -> None:
    assert (journal.read(), journal.size_bytes) == ([], 0)
    for record in WRITTEN:
        journal.append(record)
    assert journal.read() == WRITTEN


@pytest.mark.parametrize("kept", [0, 2])
def test_a_torn_last_line_is_cut_off(journal: Journal[Point | Name], kept: int) -> None:
    for record in WRITTEN[:kept]:
        journal.append(record)
    with journal.path.open("ab") as file:
        file.write(b'{"type":"point","x":')
    assert journal.read() == WRITTEN[:kept]
    journal.append(Point(9))
    assert journal.read() == [*WRITTEN[:kept], Point(9)]


def test_what_came_after_a_size_can_be_cut_back(journal: Journal[Point | Name]) -> None:
    journal.append(WRITTEN[0])
    size_bytes = journal.size_bytes
    journal.append(WRITTEN[1])
    journal.cut_back(size_bytes)
    journal.cut_back(10 * size_bytes)
    assert journal.read() == WRITTEN[:1]


def test_removing_is_for_files_that_may_be_missing(journal: Journal[Point | Name]) -> None:
    journal.append(WRITTEN[0])
    journal.remove()
    journal.remove()
    assert not journal.path.exists()


NESTED = b'{"z":' + b"[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b'{"type":"point"}',
        b'{"type":"point","x":1,"y":2}',
        b"\xff",
        b'{"type":"point","x":1,"x":2}',
        pytest.param(NESTED, id="nested"),
    ],
)
def test_a_line_that_is_no_record_is_refused(journal: Journal[Point | Name], line: bytes) -> None:
    journal.path.write_bytes(line + b"\n")
    with pytest.raises(TrainingError, match=r"journal.jsonl is damaged: .*; remove it and run the same command again"):
        journal.read()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(TrainingError, match=r"cannot read .*journal.jsonl: Not a regular file"):
        Journal[Point](tmp_path / "journal.jsonl", Point, TrainingError).read()


def test_a_file_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot write .*none.journal.jsonl: No such file or directory"):
        Journal[Point](tmp_path / "none" / "journal.jsonl", Point, TrainingError).append(Point(1))
    with pytest.raises(TrainingError, match=r"cannot read .*: Is a directory"):
        Journal[Point](tmp_path, Point, TrainingError).read()
