"""A folder beside a place, in which is made what is to stand there; what killed processes left is removed by the next.

A process holds the lock in its folder as long as it works there: a folder whose lock is free was left.
"""

import contextlib
import errno
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgebert import locks

# What stood at the place, where it cannot be replaced in one step: it is put back if nothing stands there.
OLD = "old"

_SUFFIX, _LOCK = ".partial", "lock"
_ATTEMPTS = 10
# A network's folder may be mounted with locks that another machine does not see: what it made is left alone for a day.
_OTHERS_LAST_S = 24 * 3600.0


@contextlib.contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """Give a new folder beside a place, and remove it at the end with all that is in it.

    Raises:
        OSError: none can be made there.
    """
    remove_abandoned(place.parent, _prefix(place))
    folder, lock = _locked_folder(place)
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            locks.release(lock)


def remove_abandoned(parent: Path, prefix: str = ".") -> None:
    """Remove the folders that killed processes left in a folder, whatever they were for, as far as this user may."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.name.endswith(_SUFFIX):
                _remove_if_abandoned(Path(entry.path))


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there, as a whole: whatever interrupts this, it has all its files or is gone."""
    with scratch_folder(folder) as scratch, contextlib.suppress(FileNotFoundError):
        os.rename(folder, scratch / "removed")


def _prefix(place: Path) -> str:
    # Hidden, since it is not finished. Names have at most 255 bytes, and a character up to four.
    return f".{place.name[:50]}."


def _locked_folder(place: Path) -> tuple[Path, int | None]:
    """Return a new folder and its lock, None where there are no locks; then no process takes it for abandoned."""
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=_prefix(place), suffix=_SUFFIX, dir=place.parent))
        try:
            lock = locks.take(folder / _LOCK, wait=False)
        except FileNotFoundError:
            continue  # another process has found it without a lock
        except OSError:
            (folder / _LOCK).unlink(missing_ok=True)
            # Not empty, since an empty one is taken for abandoned.
            (folder / "unlocked").touch()
            return folder, None
        if lock is not None:
            os.write(lock, platform.node().encode())
            return folder, lock
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(place))


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if not os.path.lexists(folder / _LOCK):
            # Its process was killed, or is about to lock it: then it makes another one.
            folder.rmdir()
            return
        lock = locks.take(folder / _LOCK, wait=False)
        if lock is None:
            return
        try:
            if _is_from_here(folder / _LOCK):
                _put_back(folder / OLD)
                _remove(folder)
        finally:
            locks.release(lock)


def _is_from_here(lock: Path) -> bool:
    # In either direction: clocks are set back, and those of two machines differ.
    age_s = abs(time.time() - lock.stat().st_mtime)
    return lock.read_text(errors="replace") in ("", platform.node()) or age_s > _OTHERS_LAST_S


def _put_back(old: Path) -> None:
    """Put what stood at a place back, if its process was killed before anything new stood there."""
    for path in old.iterdir() if old.is_dir() else ():
        place = old.parent.parent / path.name
        if not os.path.lexists(place):
            os.rename(path, place)


def _remove(folder: Path) -> None:
    """Remove a folder whose lock this process holds, the lock last: what is left on the way is abandoned."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name == _LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()
