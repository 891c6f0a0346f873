import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgebert.scratch import OLD, remove_abandoned, remove_folder, scratch_folder

# Makes something beside a place and waits, to be killed.
WORK = """
import os, sys
from pathlib import Path
from edgebert.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "part").mkdir()
    (folder / "part" / "file").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


def start(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that works beside a place, and return its folder."""
    command = [sys.executable, "-c", WORK, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def kill(process: subprocess.Popen[str]) -> None:
    with process:
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["out", "a[b]*.json", "ü" * 120])
def test_the_next_removes_what_killed_processes_left_and_nothing_of_live_ones(tmp_path: Path, name: str) -> None:
    live, its_folder = start(tmp_path / name)
    killed, left = start(tmp_path / name)
    kill(killed)
    assert (left / "part" / "file").is_file()

    with scratch_folder(tmp_path / name) as folder:
        assert not left.exists()
        assert names(tmp_path) == sorted([its_folder.name, folder.name])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == [its_folder.name]
    kill(live)
    remove_abandoned(tmp_path)
    assert names(tmp_path) == []


def test_a_process_may_work_at_one_place_twice(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "out") as outer, scratch_folder(tmp_path / "out") as inner:
        assert names(tmp_path) == sorted([outer.name, inner.name])


def test_what_others_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.mine.partial").mkdir()
    (tmp_path / ".out.mine.partial" / "file").touch()
    (tmp_path / ".out.file.partial").touch()
    (tmp_path / ".out.link.partial").symlink_to(tmp_path / ".out.mine.partial")
    (tmp_path / "out.partial").mkdir()
    before = names(tmp_path)
    with scratch_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == before


def test_a_folder_that_was_not_locked_yet_is_removed_and_another_one_made(tmp_path: Path) -> None:
    (tmp_path / ".out.abcdefgh.partial").mkdir()
    with scratch_folder(tmp_path / "out"):
        assert not (tmp_path / ".out.abcdefgh.partial").exists()


def test_an_interrupted_removal_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, left = start(tmp_path / "out")
    kill(killed)

    def interrupted(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.rmtree", interrupted)
    remove_abandoned(tmp_path)
    assert left.exists()
    monkeypatch.undo()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("age_s", "remains"), [(60, True), (-60, True), (100_000, False), (-100_000, False)])
def test_what_another_machine_made_is_abandoned_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, remains: bool
) -> None:
    killed, left = start(tmp_path / "out")
    kill(killed)
    monkeypatch.setattr("platform.node", lambda: "another machine")
    now = (left / "lock").stat().st_mtime + age_s
    monkeypatch.setattr("time.time", lambda: now)
    remove_abandoned(tmp_path)
    assert left.exists() == remains


def test_where_there_are_no_locks_nothing_counts_as_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebert.locks.fcntl", None)
    with scratch_folder(tmp_path / "out") as folder:
        remove_abandoned(tmp_path)
        monkeypatch.undo()
        remove_abandoned(tmp_path)
        assert folder.exists()
    assert names(tmp_path) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_what_stood_at_a_place_is_put_back_if_nothing_stands_there(tmp_path: Path, replaced: bool) -> None:
    killed, left = start(tmp_path / "out")
    kill(killed)
    (left / OLD / "out").mkdir(parents=True)
    (left / OLD / "out" / "file").write_text("old")
    if replaced:
        (tmp_path / "out").mkdir()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "file").exists() != replaced


def test_a_folder_is_removed_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "file").touch()
    at_removal: list[bool] = []
    rmtree = shutil.rmtree

    def watched(path: Path) -> None:
        at_removal.append((tmp_path / "work").exists())
        rmtree(path)

    monkeypatch.setattr("shutil.rmtree", watched)
    remove_folder(tmp_path / "work")
    remove_folder(tmp_path / "work")
    assert at_removal == [False]
    assert names(tmp_path) == []


def test_where_nothing_can_be_written_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder(tmp_path / "none" / "out"):
        pass
    with pytest.raises(OSError, match=os.strerror(20)), scratch_folder(Path("/dev/null/out")):
        pass
