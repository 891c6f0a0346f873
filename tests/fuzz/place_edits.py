"""Edits of what stands at a file's place in a folder: links, folders, pipes, sockets, sparse and other files."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzz.edits import Arguments

BAIT = "bait.bin"  # beside the folder of a mutant


def _link(path: Path, target: str) -> None:
    _remove(path)
    path.symlink_to(target)


def _link_to_copy(path: Path) -> None:
    """Move the file out of the folder, and leave a link to it."""
    moved = path.parent.parent / f"moved-{path.name}"
    _remove(moved)
    path.rename(moved)
    path.symlink_to(moved)


def _link_within(path: Path) -> None:
    inside = path.with_name(f"blob-{path.name}")
    path.rename(inside)
    path.symlink_to(inside.name)


def _folder(path: Path) -> None:
    _remove(path)
    path.mkdir()


def _pipe(path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def _socket(path: Path) -> None:
    _remove(path)
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    except OSError:  # names of more than a hundred characters have none
        path.touch()
    finally:
        os.chdir(here)


def _sparse(path: Path, size: int) -> None:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_COPIED:
        return  # such as a pipe, which would be waited for, or a link to a device
    content = path.read_bytes()
    _remove(path)
    path.write_bytes(content)
    os.truncate(path, size)


def _swap(path: Path, other: str) -> None:
    """Let two files change places."""
    second = path.parent / other
    if second.is_file() and second != path:
        between = path.with_name("between")
        path.rename(between)
        second.rename(path)
        between.rename(second)


def _other_case(path: Path) -> None:
    path.rename(path.with_name(path.name.swapcase()))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _names(random: Random, path: Path) -> Arguments:
    return [random.choice(sorted(one.name for one in path.parent.iterdir()))]


_MOST_COPIED = 1 << 26
_TARGETS = ("{bait}", f"../{BAIT}", "missing", "{self}", "/dev/zero", "/dev/null", "/proc/self/mem", "/", ".")
Propose = Callable[[Random, Path], Arguments]

# The name of each, how its arguments are drawn, and what it does.
PLACE_EDITS: dict[str, tuple[Propose, Callable[..., Any]]] = {
    "remove": (lambda r, p: [], _remove),
    "link": (lambda r, p: [r.choice(_TARGETS)], _link),
    "link-to-copy": (lambda r, p: [], _link_to_copy),
    "link-within": (lambda r, p: [], _link_within),
    "folder": (lambda r, p: [], _folder),
    "pipe": (lambda r, p: [], _pipe),
    "socket": (lambda r, p: [], _socket),
    "sparse": (lambda r, p: [r.choice((1, 2**20, 2**33, 2**42))], _sparse),
    "swap-files": (_names, _swap),
    "other-case": (lambda r, p: [], _other_case),
}
