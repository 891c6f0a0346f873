"""Makes a mutant's manifest say what its files are, as a forger would: hashes, sizes and hashes of pieces."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebert.exporters.pieces import ends_of_pieces
from edgebert.inputs.bundle import MANIFEST
from edgebert.inputs.pieces import Pieces

_MOST_BYTES = 1 << 26  # a sparse file of terabytes keeps its old hash


def forge(folder: Path) -> None:
    """Write the manifest anew where it can still be read; nothing else is changed but the files of pieces."""
    try:
        manifest = json.loads(_content(folder, {"file": MANIFEST}) or b"null")
        if not isinstance(manifest, dict):
            return
        for reference in _references(manifest):
            _describe(folder, reference)
        if "sha256" in manifest:  # its own, which is of the file without these digits
            manifest["sha256"] = ""
            manifest["sha256"] = hashlib.sha256(_written(manifest)).hexdigest()
        _write(folder / MANIFEST, _written(manifest))
    except (OSError, ValueError, RecursionError):
        return


def _describe(folder: Path, reference: dict[str, Any]) -> None:
    """Let a reference say what its file is."""
    content = _content(folder, reference)
    if content is None:
        return
    pieces = reference.get("pieces")
    if isinstance(pieces, dict) and isinstance(pieces.get("file"), str) and _content(folder, pieces) is not None:
        ends = ends_of_pieces((), len(content))
        digests = [hashlib.sha256(content[start:end]).digest() for start, end in itertools.pairwise([0, *ends])]
        _write(folder / pieces["file"], Pieces(ends, digests).content())
    reference["sha256"] = hashlib.sha256(content).hexdigest()
    if "size_bytes" in reference:
        reference["size_bytes"] = len(content)


def _written(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _references(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield what refers to files, the outer ones first: files of pieces are made with what they are of."""
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    if isinstance(tree, dict) and isinstance(tree.get("file"), str) and "sha256" in tree:
        yield tree
    for item in items:
        yield from _references(item)


def _content(folder: Path, reference: dict[str, Any]) -> bytes | None:
    try:
        path = folder / reference["file"]
        return path.read_bytes() if path.is_file() and path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        return None


def _write(path: Path, content: bytes) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.write_bytes(content)
