"""Opens single files of a bundle: what is returned, or stays mapped, is what was checked. Knows no manifest."""

import contextlib
import hashlib
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgebert.errors import BundleError, cause_of
from edgebert.inputs.pieces import MOST_OF_A_PIECE, Pieces
from edgebert.python_exit import Pool

MANIFEST = "bundle.json"

MOST_BYTES = 1 << 26  # of a file that is held in memory: all but the weights
_HASHING_THREADS = 3  # beside the one that loads: hashing is half of the time that loading takes

_COPY_AGAIN = "copy the bundle again"


def locate(folder: Path, name: str, size_bytes: int) -> Path:
    """Return the path of a file of a bundle's folder, or of what a link in its place leads to.

    Raises:
        BundleError: it is missing, no plain file, of another size, or a link to what is not the bundle's.
    """
    path = folder / name
    # A bundle may come from anywhere: no path and no hidden file of it leads to what is not its own.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", name):
        raise BundleError(f"{folder / MANIFEST}: expected a plain file of the bundle's folder, found {name!a:.200}")
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            path = _behind_link(path, folder / MANIFEST)
            found = os.stat(path)
    except FileNotFoundError:
        raise BundleError(f"{path} is missing; {_COPY_AGAIN}") from None
    except OSError as problem:
        raise BundleError(f"cannot read {path}: {cause_of(problem)}; {_COPY_AGAIN}") from None
    # A pipe would be waited for, and a device such as /dev/zero never ends.
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{path} is no plain file; {_COPY_AGAIN}")
    # Hashes are checked when a file is used; a copy that was broken off is found at once.
    _check_size(path, found.st_size, size_bytes)
    return path


def _behind_link(link: Path, manifest: Path) -> Path:
    """Return what a link leads to, if that lies where the bundle's manifest really lies."""
    # So it is in Hugging Face's cache, where all files are links to blobs, where a package is installed as links, and
    # in a volume of Kubernetes. What a stranger's link leads to lies beside no manifest that names it.
    path, home = (Path(os.path.realpath(file, strict=True)) for file in (link, manifest))
    if path.parent != home.parent:
        advice = "copy the bundle with what its links lead to: cp -rL"
        raise BundleError(f"{link} is a link out of the bundle, to {path}; {advice}")
    return path


def read_whole(path: Path) -> bytes:
    """Return the content of a plain file that is not too large to be held in memory.

    Raises:
        BundleError: it is, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            # Of what was opened, and before anything is read: a file with holes may have any size.
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > MOST_BYTES:
                raise BundleError(f"{path}: expected at most {MOST_BYTES} bytes, found {size_bytes}; {_COPY_AGAIN}")
            return file.read(size_bytes)
    except OSError as problem:
        raise BundleError(f"cannot read {path}: {cause_of(problem)}; check the path") from None


def read_checked(path: Path, sha256: str) -> bytes:
    """Return a file's content after checking its hash.

    Raises:
        BundleError: it cannot be read, or is not what was exported.
    """
    # Whoever asks gets the bytes that were hashed: a file that is altered later is not read again.
    content = read_whole(path)
    _check_digest(path, hashlib.sha256(content).hexdigest(), sha256)
    return content


class WeightParts:
    """The pieces of a weight file that a graph reads; the file stays open as long as they are used.

    Engines map the file, which takes the least memory: what is written into it later changes the weights of a loaded
    network. So `check_unchanged` belongs before and after every use of them.
    """

    def __init__(self, path: Path, pieces: Pieces, read: Sequence[int]):
        """Open the file; `pieces` are all that it has, `read` the numbers of those that are read.

        Raises:
            BundleError: it cannot be opened.
        """
        self.path, self._pieces, self._is_read = path, pieces, read
        self._lock = threading.Lock()
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115  open as long as this is used
        except OSError as problem:
            raise BundleError(f"cannot read {path}: {cause_of(problem)}; check the path") from None
        self._remember(os.fstat(self._file.fileno()))

    def __del__(self) -> None:
        """Close the file: a network that nobody uses any more keeps no disk full."""
        if hasattr(self, "_file"):
            self._file.close()

    def check(self) -> None:
        """Check the pieces.

        Raises:
            BundleError: one was altered, or the file lies at its path no longer.
        """
        try:
            with Pool(_HASHING_THREADS) as pool:
                parts = [self._is_read[first::_HASHING_THREADS] for first in range(_HASHING_THREADS)]
                list(pool.map(self._check_pieces, parts))
        except OSError as problem:
            raise BundleError(f"cannot read {self.path}: {cause_of(problem)}; {_COPY_AGAIN}") from None

    def check_in_place(self) -> None:
        """Check that the path still leads to this file: whoever opened it there meanwhile has the same.

        Raises:
            BundleError: there is another file, or none.
        """
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno())):
                return
        raise BundleError(f"{self.path} was replaced while it was loaded; load it again")

    def check_unchanged(self) -> None:
        """Check the pieces again, if the file was written to since.

        Raises:
            BundleError: one was altered.
        """
        # A file that was put in its place by a rename is another one, and no business of those who have this one.
        found = os.fstat(self._file.fileno())
        if found.st_mtime_ns != self._changed_ns or found.st_size != self._size_bytes:
            self.check()
            self._remember(found)

    def _remember(self, found: os.stat_result) -> None:
        """Remember of what state the file was when it was checked."""
        self._changed_ns, self._size_bytes = found.st_mtime_ns, found.st_size

    def _check_pieces(self, pieces: Sequence[int]) -> None:
        """Check the pieces of those numbers."""
        buffer = memoryview(bytearray(MOST_OF_A_PIECE))
        for piece in pieces:
            self._read_checked(piece, buffer)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, each part after its piece was checked, of whichever pieces they are.

        Raises:
            BundleError: a piece was altered, or cannot be read.
        """
        buffer = memoryview(bytearray(MOST_OF_A_PIECE))
        for piece in self._pieces.between(start, stop):
            try:
                content = self._read_checked(piece, buffer)
            except OSError as problem:
                raise BundleError(f"cannot read {self.path}: {cause_of(problem)}; {_COPY_AGAIN}") from None
            first = self._pieces.start_of(piece)
            yield bytes(content[max(0, start - first) : stop - first])

    def _read_checked(self, piece: int, buffer: memoryview) -> memoryview:
        """Read the piece of that number into a buffer, and return the part of this that it fills."""
        start, end = self._pieces.start_of(piece), self._pieces.ends[piece]
        with self._lock:  # the place in a file is one for all threads
            self._file.seek(start)
            size_bytes = self._file.readinto(buffer[: end - start])
        content = buffer[:size_bytes]
        _check_digest(self.path, hashlib.sha256(content).hexdigest(), self._pieces.digests[piece].hex())
        return content


def _check_size(path: Path, found: int, expected: int) -> None:
    if found != expected:
        advice = f"it was truncated or altered: {_COPY_AGAIN}"
        raise BundleError(f"{path}: expected {expected} bytes, found {found}; {advice}")


def _check_digest(path: Path, found: str, expected: str) -> None:
    if found != expected:
        hashes = f"expected sha256 {expected[:12]}..., found {found[:12]}..."
        raise BundleError(f"{path} was altered: {hashes}; {_COPY_AGAIN}")
