"""What an edit is, and edits of any file: bytes that are changed, cut, put in, repeated, swapped, or text written anew.

An edit has two halves. `propose` draws arguments for a content from a random generator, or None where it does not fit;
`apply` makes the new content from the old one and these arguments, which are plain JSON values. So a mutant is a list
of steps that can be printed, kept in a file and shortened. Bytes stand in arguments as text in latin-1.
"""

import codecs
import gzip
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Arguments = list[Any]


class Edit(NamedTuple):
    """A way to change a content; `apply` must take any arguments that `propose` may give, for any content."""

    propose: Callable[[Random, bytes], Arguments | None]
    apply: Callable[..., bytes]


# What readers stumble over: the ends of ranges, of strings, of lines, of UTF-8, and the continuation bit of protobuf.
ODD_BYTES = ("\x00", "\xff", "\x7f", "\x80", "\n", "\r", '"', "\\", "{", "[", ",", "\t", "\xed\xa0\x80", "\xef\xbb\xbf")


def _place(random: Random, content: bytes) -> int:
    """Return a position, near the beginning more often than elsewhere: headers stand there."""
    end = len(content)
    return random.randrange(min(end, 64) + 1) if random.random() < 0.2 else random.randrange(end + 1)


def _size(random: Random) -> int:
    return random.choice((1, 1, 2, 3, 4, 8, 17, 64, 300, 4096))


def _change(content: bytes, at: int, new: str) -> bytes:
    return content[:at] + new.encode("latin-1") + content[at + len(new) :]


def _flip(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :] if at < len(content) else content


def _put_in(content: bytes, at: int, new: str, times: int) -> bytes:
    return content[:at] + new.encode("latin-1") * times + content[at:]


def _repeat(content: bytes, at: int, size: int, times: int) -> bytes:
    return content[:at] + content[at : at + size] * times + content[at:]


def _swap(content: bytes, first: int, second: int, size: int) -> bytes:
    first, second = sorted((first, second))
    size = min(size, second - first)
    one, other = content[first : first + size], content[second : second + size]
    return content[:first] + other + content[first + size : second] + one + content[second + size :]


def _many_times(random: Random) -> int:
    return random.choice((1, 1, 1, 2, 40, 100_000))


BYTE_EDITS = {
    "change": Edit(lambda r, c: [_place(r, c), r.choice(ODD_BYTES)], _change),
    "flip": Edit(lambda r, c: [r.randrange(len(c)), r.randrange(8)] if c else None, _flip),
    "cut": Edit(lambda r, c: [_place(r, c), _size(r)], lambda c, at, size: c[:at] + c[at + size :]),
    "put-in": Edit(lambda r, c: [_place(r, c), r.choice(ODD_BYTES), _many_times(r)], _put_in),
    "repeat": Edit(lambda r, c: [_place(r, c), _size(r), r.choice((1, 2, 200))], _repeat),
    "swap": Edit(lambda r, c: [_place(r, c), _place(r, c), _size(r)], _swap),
    "end": Edit(lambda r, c: [_place(r, c)], lambda c, at: c[:at]),
    "write": Edit(
        lambda r, c: [r.choice(ODD_BYTES), r.choice((0, 1, 3, 2_000_000))], lambda c, new, n: new.encode("latin-1") * n
    ),
}

_CODECS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp1252", "cp037", "gzip")


def _encode(content: bytes, name: str) -> bytes:
    if name == "gzip":
        return gzip.compress(content, mtime=0)
    return codecs.encode(content.decode("utf-8", "replace"), name, "replace")


# For what is text, as whole files are.
ENCODING_EDITS = {"encode": Edit(lambda r, c: [r.choice(_CODECS)], _encode)}
