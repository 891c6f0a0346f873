import itertools
import os
import signal
import sys
from pathlib import Path

import pytest

from edgebert.errors import ExportError
from edgebert.staging import FolderKind, staged

KIND = FolderKind(
    name="bundle", marker="bundle.json", error=ExportError, own_files=lambda folder: ["bundle.json", "part"]
)


def write(folder: Path, content: str) -> None:
    (folder / KIND.marker).write_text(content)
    (folder / "part").mkdir()
    (folder / "part" / "more").write_text(content)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    with staged(out, KIND) as folder:
        write(folder, "old")
    return out


def test_a_finished_folder_takes_the_place_of_the_older_one(older: Path) -> None:
    with staged(older, KIND) as folder:
        write(folder, "new")
        assert (older / KIND.marker).read_text() == "old"
    assert (older / KIND.marker).read_text() == (older / "part" / "more").read_text() == "new"
    assert [path.name for path in older.parent.iterdir()] == [older.name]
    assert older.stat().st_mode & 0o777 == 0o755


def test_missing_parents_are_made_and_an_empty_folder_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "a" / "b" / "out", tmp_path / "empty"):
        with staged(out, KIND) as folder:
            write(folder, "new")
        assert (out / KIND.marker).is_file()


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_older_folder_and_nothing_else(older: Path, problem: type[BaseException]) -> None:
    def fail() -> None:
        with staged(older, KIND) as folder:
            write(folder, "new")
            raise problem

    with pytest.raises(problem):
        fail()
    assert (older / KIND.marker).read_text() == "old"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def test_a_failed_rename_leaves_the_older_folder(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def fails_at_first(source: Path, target: Path) -> None:
        if source.name == "new":
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("os.rename", fails_at_first)
    monkeypatch.setattr("edgebert.staging._EXCHANGES", ())
    with pytest.raises(ExportError, match=r"cannot put the bundle at .*out: Input/output error"), staged(older, KIND):
        pass
    assert (older / KIND.marker).read_text() == "old"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def replaced_until(step: int, out: Path) -> bool:
    """Replace a folder in a forked process that is killed before its nth step; return whether it was done before."""
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)

        def kill_at_step(event: str, _: tuple[object, ...]) -> None:
            # What Python is about to ask of the system: files, folders, locks.
            if event.startswith(("open", "os.", "shutil.", "fcntl.", "tempfile.")) and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill_at_step)
        with staged(out, KIND) as folder:
            write(folder, "new")
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_kill_at_any_step_leaves_the_older_or_the_new_folder(
    older: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # slow, and for crashes of the machine only
    if not exchanges:
        monkeypatch.setattr("edgebert.staging._EXCHANGES", ())
    contents = []
    for step in itertools.count(1):
        done = replaced_until(step, older)
        if exchanges:
            contents.append((older / KIND.marker).read_text())
            assert (older / "part" / "more").read_text() == contents[-1]
        # The next run: what was left is gone, and where the older one had been moved away it is back.
        with staged(older, KIND) as folder:
            assert (older / KIND.marker).read_text() == (older / "part" / "more").read_text()
            write(folder, "old")
        assert [path.name for path in older.parent.iterdir()] == [older.name]
        if done:
            break
    assert step > 20
    assert contents == sorted(contents, reverse=True)


def test_without_an_exchange_the_folder_is_replaced_all_the_same(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebert.staging._EXCHANGES", ())
    with staged(older, KIND) as folder:
        write(folder, "new")
    assert (older / "part" / "more").read_text() == "new"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(older: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for name, target in (("link", older), ("dangling", tmp_path / "none")):
        link = tmp_path / "links" / name
        link.symlink_to(target)
        with staged(link, KIND) as folder:
            write(folder, "new")
        assert link.is_symlink()
        assert (target / KIND.marker).read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links", "none", "out"]


def test_a_strangers_file_is_neither_deleted_nor_taken_over(older: Path) -> None:
    (older / "notes.txt").write_text("mine")
    message = r"out holds notes.txt beside the files of its bundle, which would be deleted; move that away or choose"
    with pytest.raises(ExportError, match=message), staged(older, KIND):
        pytest.fail("before the work")
    assert (older / "notes.txt").read_text() == "mine"


def test_a_strangers_file_that_came_during_the_work_is_not_deleted_either(older: Path) -> None:
    def come() -> None:
        with staged(older, KIND) as folder:
            write(folder, "new")
            (older / "notes.txt").write_text("mine")

    with pytest.raises(ExportError, match=r"holds notes\.txt"):
        come()
    assert (older / "notes.txt").read_text() == "mine"
    assert (older / KIND.marker).read_text() == "old"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def test_a_folder_that_cannot_be_moved_is_found_before_the_work(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == older)
    with pytest.raises(ExportError, match="is where a file system is mounted"):
        KIND.check_free(older)
    monkeypatch.undo()
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != older)
    with pytest.raises(ExportError, match=r"cannot replace .*out: it is read-only; choose another --out"):
        KIND.check_free(older)


def test_two_at_once_leave_one_of_both_as_a_whole(older: Path) -> None:
    with staged(older, KIND) as first:
        with staged(older, KIND) as second:
            write(first, "first")
            write(second, "second")
        assert (older / "part" / "more").read_text() == "second"
    assert (older / KIND.marker).read_text() == (older / "part" / "more").read_text() == "first"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def test_what_is_no_older_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("notes", "file"):
        with pytest.raises(ExportError, match=rf"{name} exists and is no bundle; choose another --out or remove it"):
            KIND.check_free(tmp_path / name)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match=r"cannot write to .*file"), staged(tmp_path / "file" / "out", KIND):
        pass
