"""A file of vectors, a row for each text, as numpy reads it: .npy. A run that was interrupted goes on in it."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgebert import records
from edgebert.errors import EdgeBertError, cause_of
from edgebert.inputs.tokenization import Text
from edgebert.serving.answer_origin import AnswerOrigin, record_of
from edgebert.tasks.embeddings import Embeddings
from edgebert.tasks.task import Answer

SUFFIX = ".npy"
# Of the header, and of the hash by which a text is known again: no text stands among the numbers.
_HEADER_BYTES, _HASH_BYTES = 128, 8
_BEGINNING = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")


class VectorFile:
    """An open file of vectors of some dimensions, float32, and a hidden one beside it with a hash for each text."""

    def __init__(self, file: BinaryIO, hashes: BinaryIO, dims: int, lines: int):
        """Go on after so many rows that are kept; `opened_vectors` makes one."""
        self.lines, self._file, self._hashes, self._dims = lines, file, hashes, dims

    def append(self, answers: Iterable[tuple[Text, Answer]]) -> None:
        """Write vectors after those that are kept; whatever interrupts it, the whole rows of the file are right."""
        # Who fails before the first answer leaves nothing behind, not even the header.
        self._file.truncate(_HEADER_BYTES + self.lines * 4 * self._dims if self.lines else 0)
        self._hashes.truncate(self.lines * _HASH_BYTES)
        self._file.seek(0, os.SEEK_END)
        self._hashes.seek(0, os.SEEK_END)
        try:
            for text, answer in answers:
                if not self.lines:
                    self._file.write(_header(0, self._dims))
                self._file.write(np.asarray(answer, "<f4").tobytes())
                self._hashes.write(_hash_of(text))
                self.lines += 1
        finally:
            if self.lines:
                self._file.seek(0)
                self._file.write(_header(self.lines, self._dims))


@contextlib.contextmanager
def opened_vectors(path: Path, file: BinaryIO, target: Path, texts: Iterable[Text], dims: int) -> Iterator[VectorFile]:
    """Give the open file of the vectors of some texts; `target` is where it stands.

    Raises:
        EdgeBertError: it holds anything but vectors of these texts and dimensions; then it is untouched.
    """
    beside = target.with_name(f".{target.name}.texts")
    try:
        with open(beside, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666)) as hashes:
            yield VectorFile(file, hashes, dims, _kept(path, file, hashes, texts, dims))
    finally:
        if not beside.stat().st_size:
            beside.unlink()


def _kept(path: Path, file: BinaryIO, hashes: BinaryIO, texts: Iterable[Text], dims: int) -> int:
    """Return how many rows a file holds of the vectors of some texts; a torn last one does not count."""
    file.seek(0)
    found = file.read(_HEADER_BYTES)
    is_whole = len(found) == _HEADER_BYTES  # else it was cut off while it was begun
    if not _BEGINNING.startswith(found[: len(_BEGINNING)]) or (is_whole and f", {dims})".encode() not in found):
        raise EdgeBertError(f"{path}: expected vectors of {dims} dims, found something else; choose another file")

    # A kill may have left more of the one than of the other.
    in_file, in_hashes = (os.fstat(one.fileno()).st_size for one in (file, hashes))
    rows = min(max(0, in_file - _HEADER_BYTES) // (4 * dims), in_hashes // _HASH_BYTES)
    known = iter(texts)
    for row in range(rows):
        text = next(known, None)
        if text is None or hashes.read(_HASH_BYTES) != _hash_of(text):
            advice = "it is not of these texts: choose another file, or remove it to begin anew"
            raise EdgeBertError(f"{path}: row {row} is the vector of another text; {advice}")
    return rows


def read_embeddings(path: str | Path) -> Embeddings:
    """Return the vectors (texts, dims) of a file that `predict --out` wrote, which say of which space they are.

    Those of any other .npy file say of none.

    Raises:
        EdgeBertError: it cannot be read, or holds no vectors.
    """
    target = Path(path).resolve()
    try:
        vectors = np.load(target, allow_pickle=False)
    except OSError as problem:
        raise EdgeBertError(f"cannot read {path}: {cause_of(problem)}; check the path") from None
    except ValueError as problem:
        raise EdgeBertError(f"{path} holds no vectors: {problem}; write it again with predict --out") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype != np.float32:
        raise EdgeBertError(f"{path}: expected vectors (texts, dims) in float32, found something else; write it again")
    if not record_of(target).exists():
        return Embeddings.of(vectors, None)
    origin = records.read(record_of(target), AnswerOrigin, EdgeBertError)
    return Embeddings.of(vectors, origin.space, [origin.subnetwork] if origin.subnetwork else [])


def _header(rows: int, dims: int) -> bytes:
    """Return what a .npy file begins with (numpy.lib.format, version 1.0), always of the same length."""
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dims}), }}"
    return _BEGINNING + shape.encode().ljust(_HEADER_BYTES - len(_BEGINNING) - 1) + b"\n"


def _hash_of(text: Text) -> bytes:
    return hashlib.blake2b(repr(text).encode(), digest_size=_HASH_BYTES).digest()
