import os
from pathlib import Path

import pytest

from edgebert.errors import ExportError
from edgebert.staging import FolderKind, staged

KIND = FolderKind(name="bundle", marker="bundle.json", error=ExportError)


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


def test_a_failed_rename_puts_the_older_folder_back(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def fails_at_first(source: Path, target: Path) -> None:
        if target == older and not source.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("os.rename", fails_at_first)
    with pytest.raises(ExportError, match=r"cannot put the bundle at .*out: Input/output error"), staged(older, KIND):
        pass
    assert (older / KIND.marker).read_text() == "old"
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
