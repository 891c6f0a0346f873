"""Locks that stand in files: a process holds one until it lets go or ends, whatever ends it.

The system keeps them, so that neither a killed process nor one whose number was given to another leaves one behind.
"""

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none of these
    fcntl = None  # type: ignore[assignment]


def take(path: Path, *, wait: bool) -> int | None:
    """Return the open file that holds the lock in a file, which is made if need be; None if another one holds it.

    Two threads exclude each other too. A process that is forked meanwhile does not own the lock, which is let go of by
    `release`.

    Raises:
        OSError: the file cannot be opened, or there are no locks on this system or file system.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(path))
    handle = _opened(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have removed the file since it was opened: then this locks a file that nobody else will open.
        if os.fstat(handle).st_nlink:
            return handle
    except BlockingIOError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def release(handle: int) -> None:
    """Let go of a lock."""
    # Not by closing alone: a process that was forked meanwhile has the file open too.
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as problem:
        # Another user's file, or one on a medium that cannot be written, can be locked all the same.
        if problem.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY)
