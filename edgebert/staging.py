"""Puts a folder in its place only when it is finished: at any moment the older one or the new one stands there."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import EdgeBertError, cause_of, listed
from edgebert.scratch import OLD, scratch_folder

# Both systems call with the same arguments, and take 2 for: let the two take each other's place.
_EXCHANGES, _EXCHANGE = ("renameat2", "renameatx_np"), 2  # Linux, macOS


@dataclass(frozen=True)
class FolderKind:
    """What a finished folder holds: its name for people, the file by which it is known, and the error to raise.

    `own_files` returns which files of a folder are the kind's own, and may be deleted with it; None if such a folder is
    never replaced as a whole.
    """

    name: str
    marker: str
    error: type[EdgeBertError]
    own_files: Callable[[Path], Collection[str]] | None = None

    def check_free(self, out: Path) -> None:
        """Check that a folder of this kind may be put at `out`: nothing, an empty folder or an older one is there.

        Raises:
            error: something else is there, also in the older one, or it cannot be replaced.
        """
        try:
            found = os.listdir(out) if out.is_dir() else []
            if self.marker not in found and (found or (out.exists() and not out.is_dir())):
                raise self.error(f"{out} exists and is no {self.name}; choose another --out or remove it")
        except OSError as problem:
            raise self.error(f"cannot read {out}: {cause_of(problem)}; choose another --out") from None
        if self.own_files is not None:
            self._check_replaceable(out, found, self.own_files(out) if found else ())

    def _check_replaceable(self, out: Path, found: Collection[str], own: Collection[str]) -> None:
        others = sorted(set(found).difference(own, [self.marker]))
        if others:
            what = f"{out} holds {listed(others)} beside the files of its {self.name}"
            raise self.error(f"{what}, which would be deleted; move that away or choose another --out")
        if os.path.ismount(os.path.realpath(out)):
            what = f"{out} is where a file system is mounted, which cannot be replaced"
            raise self.error(f"{what}; choose a folder in it for --out")
        # To be moved to another folder, a folder must itself be writable.
        if found and not os.access(out, os.W_OK):
            raise self.error(f"cannot replace {out}: it is read-only; choose another --out or make it writable")


@contextlib.contextmanager
def staged(out: Path, kind: FolderKind) -> Iterator[Path]:
    """Give a folder beside `out` to write into, and put it in the place of `out` at the end; remove it on any error.

    Where `out` is a link, what it leads to is replaced.

    Raises:
        error: the kind's own; something else is at `out`, or the folder cannot be written.
    """
    kind.check_free(out)
    place = Path(os.path.realpath(out))
    with contextlib.ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # Beside it, since a folder can be renamed only within its file system.
            scratch = stack.enter_context(scratch_folder(place))
            folder = scratch / "new"
            folder.mkdir()
        except OSError as problem:
            raise kind.error(f"cannot write to {place.parent}: {cause_of(problem)}; choose another --out") from None
        yield folder
        # Once more: the work may have taken long.
        kind.check_free(out)
        try:
            _sync_files(folder)
            _replace(place, folder, scratch / OLD)
        except OSError as problem:
            raise kind.error(
                f"cannot put the {kind.name} at {out}: {cause_of(problem)}; choose another --out"
            ) from None


def _sync_files(folder: Path) -> None:
    """Wait until all files are on the disk: a rename that outlives a crash of the machine must not name empty ones."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _replace(place: Path, folder: Path, old: Path) -> None:
    """Put `folder` in its place; what stood there is then in `folder`, or in the folder `old`."""
    if not (place.is_dir() and any(place.iterdir())):
        os.rename(folder, place)
        return
    try:
        _exchange(folder, place)
    except OSError:
        # Not everywhere, as over NFS. Between the two renames there is none, for a moment; who is killed there leaves
        # the older one to the next (see `scratch`).
        old.mkdir()
        os.rename(place, old / place.name)
        try:
            os.rename(folder, place)
        except OSError:
            os.rename(old / place.name, place)
            raise


def _exchange(one: Path, other: Path) -> None:
    """Let two folders take each other's place, in one step.

    Raises:
        OSError: the system or the file system cannot.
    """
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    rename = next((getattr(library, name) for name in _EXCHANGES if hasattr(library, name)), None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    here = -1  # a folder that absolute paths do not need
    if rename(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(_EXCHANGE)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
