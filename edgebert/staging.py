"""Puts a folder in its place only when it is finished: what stood there is untouched until then."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import EdgeBertError


@dataclass(frozen=True)
class FolderKind:
    """What a finished folder holds: its name for people, the file by which it is known, and the error to raise."""

    name: str
    marker: str
    error: type[EdgeBertError]

    def check_free(self, out: Path) -> None:
        """Check that a folder of this kind may be put at `out`: nothing, an empty folder or an older one is there.

        Raises:
            error: something else is there.
        """
        is_older = (out / self.marker).is_file()
        is_empty = out.is_dir() and not any(out.iterdir())
        if out.exists() and not is_older and not is_empty:
            raise self.error(f"{out} exists and is no {self.name}; choose another --out or remove it")


@contextlib.contextmanager
def staged(out: Path, kind: FolderKind) -> Iterator[Path]:
    """Give a folder beside `out` to write into, and put it in the place of `out` at the end; remove it on any error.

    Raises:
        error: the kind's own; something else is at `out`, or the folder cannot be written.
    """
    kind.check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, since a folder can be renamed only within its file system; hidden, since it is not finished.
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as problem:
        raise kind.error(f"cannot write to {out.parent}: {problem.strerror}; choose another --out") from None
    try:
        yield folder
        _put_in_place(out, folder, kind)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(out: Path, folder: Path, kind: FolderKind) -> None:
    try:
        _sync_files(folder)
        folder.chmod(0o755)  # mkdtemp makes it private to this user
        _replace(out, folder)
    except OSError as problem:
        raise kind.error(f"cannot put the {kind.name} at {out}: {problem.strerror}; choose another --out") from None


def _sync_files(folder: Path) -> None:
    """Wait until all files are on the disk: a rename that outlives a crash of the machine must not name empty ones."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _replace(out: Path, folder: Path) -> None:
    """Put `folder` in the place of `out`; what stood there is put back if that fails."""
    # A rename replaces no folder that has files in it. Between the two renames there is none, for a moment.
    old = folder.with_name(f"{folder.name}.old")
    if out.exists():
        os.rename(out, old)
    try:
        os.rename(folder, out)
    except OSError:
        if old.exists():
            os.rename(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
