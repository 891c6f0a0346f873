"""Opens files of people as text: UTF-8, perhaps packed by gzip, of any size and with any line ends.

Knows nothing about rows and columns.
"""

import contextlib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgebert.errors import EdgeBertError, cause_of

STANDARD_INPUT = "-"

# Of a line, or of a row of JSON: an unclosed quote or a file without line ends must not fill the memory.
MOST_CHARACTERS = 2**24
_CHUNK_CHARACTERS = 2**16

_GZIP = b"\x1f\x8b"
# How files begin that are no text in UTF-8, by what a user knows them as.
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1\x15": "Parquet",
    b"ARROW1": "Arrow",
    b"%PDF-": "PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe\0\0": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# A byte that is no UTF-8, as surrogateescape decodes it, and the zero byte, which no text has and UTF-16 is full of.
_NO_TEXT = re.compile("[\0\udc80-\udcff]")


class TextFile:
    """A file that is read as lines, which end in LF, CR or both, or piece by piece; its errors name the line.

    `name` is what messages call it, and `ending` what tells its form, such as ".csv" of "a.CSV.gz".
    """

    def __init__(self, name: str, ending: str, file: io.TextIOBase):
        """Read what `file` decodes with surrogateescape and its line ends untouched."""
        self.name, self.ending, self._file = name, ending, file
        self._breaks = 0  # in what was read so far

    def line(self) -> str:
        """Return the next line with its end, or as much of it as a line may have; "" at the end of the file."""
        text = self._checked(self._file.readline(MOST_CHARACTERS + 1))
        self._breaks += 1
        return text

    def lines(self, first: str) -> Iterator[str]:
        """Yield a line that was read before, if it is none of the file's end, and those that follow.

        Raises:
            EdgeBertError: a line is too long, or no text in UTF-8.
        """
        line = first
        while line:
            if len(line) > MOST_CHARACTERS:
                found = f"expected lines of at most {MOST_CHARACTERS} characters, found a longer one"
                raise EdgeBertError(f"{self.name}:{self._breaks}: {found}; cut it, or check the line ends")
            yield line
            line = self.line()

    def piece(self, size: int) -> str:
        """Return the next characters, some more than `size`; "" at the end of the file."""
        text = self._checked(self._file.read(size + _CHUNK_CHARACTERS))
        self._breaks += text.count("\n")
        return text

    def _checked(self, text: str) -> str:
        """Return a text, or raise an EdgeBertError for a byte in it that is no text."""
        # Most lines are found right by these two alone, which cost next to nothing.
        if text.isascii() and "\0" not in text:
            return text
        found = _NO_TEXT.search(text)
        if found is None:
            return text
        number = self._breaks + text.count("\n", 0, found.start()) + 1
        byte = ord(found[0]) & 0xFF
        advice = "convert the file to UTF-8" if byte else "is it UTF-16? convert the file to UTF-8"
        raise EdgeBertError(f"{self.name}:{number}: expected UTF-8, found byte 0x{byte:02x}; {advice}")


def is_stream(path: str | Path) -> bool:
    """Return whether this is standard input, a pipe or a device: what can be read no more than once."""
    # A file that is not there is none, and neither is a folder: reading it says so.
    place = Path(path)
    return str(path) == STANDARD_INPUT or (place.exists() and not place.is_file() and not place.is_dir())


@contextlib.contextmanager
def opened(path: str | Path, *, streams: bool = False) -> Iterator[TextFile]:
    """Give a file to read, or standard input for "-"; streams only where they are admitted.

    Raises:
        EdgeBertError: it cannot be read; what is read inside the `with` is covered too.
    """
    is_stdin = str(path) == STANDARD_INPUT
    name = "standard input" if is_stdin else str(path)
    # Who reads a file twice would wait for ever for the next writer of a pipe, or find it empty.
    if not streams and is_stream(path):
        raise EdgeBertError(f"expected a plain file, since it is read more than once, found {name}; save it as a file")
    try:
        with contextlib.ExitStack() as stack:
            binary = _standard_input() if is_stdin else stack.enter_context(_unpacked(Path(path), name))
            # surrogateescape, since an error would not tell the line and would come before the lines ahead of it.
            file = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
            stack.callback(file.detach)  # else standard input would be closed with it
            suffixes = [suffix.lower() for suffix in Path(path).suffixes]
            yield TextFile(name, next((one for one in reversed(suffixes) if one != ".gz"), ""), file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise EdgeBertError(f"cannot unpack {name}: {problem}; pack it with gzip again") from None
    except (OSError, ValueError) as problem:  # ValueError: a path with a zero byte
        raise EdgeBertError(f"cannot read {name}: {cause_of(problem)}; check the path") from None


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise EdgeBertError("standard input is closed; pass a file")
    return sys.stdin.buffer


@contextlib.contextmanager
def _unpacked(path: Path, name: str) -> Iterator[BinaryIO]:
    """Give a file's bytes, unpacked where gzip packed them, whatever it is called."""
    with open(path, "rb") as file:
        start = file.peek(16)
        found = next((kind for magic, kind in _OTHERS.items() if start.startswith(magic)), None)
        if found:
            raise EdgeBertError(
                f"{name}: expected text in UTF-8, found {found}; save it as .csv, .tsv or .jsonl in UTF-8"
            )
        with gzip.GzipFile(fileobj=file) if start.startswith(_GZIP) else contextlib.nullcontext(file) as unpacked:
            yield unpacked  # type: ignore[misc]
