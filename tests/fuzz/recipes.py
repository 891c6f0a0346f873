"""Mutants as recipes: steps of a file, an edit and its arguments, drawn from a seed and applied to a folder.

A file may name a part of one: `model.safetensors#header`, `rows.jsonl#3` (a line, from 0).
"""

import json
import os
import struct
from pathlib import Path
from random import Random
from typing import Any

from fuzz.edits import BYTE_EDITS, ENCODING_EDITS, Edit
from fuzz.graph_edits import GRAPH_EDITS
from fuzz.json_edits import JSON_EDITS
from fuzz.place_edits import BAIT, PLACE_EDITS
from fuzz.table_edits import NEUTRAL_EDITS, NEUTRAL_TABLE_EDITS, TABLE_EDITS
from fuzz.tokenizer_edits import TOKENIZER_EDITS

_MOST_BYTES = 1 << 26  # what is larger was made sparse by an earlier step

Step = list[Any]
Recipe = list[Step]

_BYTES = (BYTE_EDITS, 1)
# The edits that suit a file, by its ending, and how often each group is drawn.
_SUITABLE: dict[str, tuple[tuple[dict[str, Edit], int], ...]] = {
    ".json": (_BYTES, (JSON_EDITS, 6), (ENCODING_EDITS, 1)),
    "tokenizer.json": (_BYTES, (JSON_EDITS, 4), (TOKENIZER_EDITS, 5)),
    ".onnx": (_BYTES, (GRAPH_EDITS, 6)),
    ".txt": (_BYTES, (NEUTRAL_EDITS, 2), (ENCODING_EDITS, 1)),
    ".tsv": (_BYTES, (TABLE_EDITS, 4), (NEUTRAL_EDITS, 1), (NEUTRAL_TABLE_EDITS, 1), (ENCODING_EDITS, 1)),
    ".csv": (_BYTES, (TABLE_EDITS, 4), (NEUTRAL_EDITS, 1), (NEUTRAL_TABLE_EDITS, 1), (ENCODING_EDITS, 1)),
    ".jsonl": (_BYTES, (NEUTRAL_EDITS, 1), (ENCODING_EDITS, 1)),
    "part": ((BYTE_EDITS, 1), (JSON_EDITS, 6)),
}
EDITS = BYTE_EDITS | ENCODING_EDITS | JSON_EDITS | TOKENIZER_EDITS | GRAPH_EDITS
EDITS |= TABLE_EDITS | NEUTRAL_EDITS | NEUTRAL_TABLE_EDITS


def draw(random: Random, folder: Path, file: str, places: float) -> Step | None:
    """Return a step for a file, with that probability one about its place in the folder; None where none fits."""
    path = folder / file.partition("#")[0]
    if random.random() < places and "#" not in file:
        name = random.choice(sorted(PLACE_EDITS))
        return [file, name, *PLACE_EDITS[name][0](random, path)]

    suffix = "part" if "#" in file else path.name if path.name in _SUITABLE else path.suffix
    groups = _SUITABLE.get(suffix, (_BYTES,))
    group = random.choices([one for one, _ in groups], [weight for _, weight in groups])[0]
    name = random.choice(sorted(group))
    try:
        content = _Part(path, file).read()
    except (OSError, ValueError, IndexError, struct.error):
        return None
    arguments = group[name].propose(random, content)
    return None if arguments is None else [file, name, *arguments]


def apply(recipe: Recipe, folder: Path) -> None:
    """Make a mutant of the files in a folder, none of which is changed in place: they may be links."""
    for file, name, *arguments in recipe:
        path = folder / file.partition("#")[0]
        names = {"{bait}": str(folder.parent / BAIT), "{self}": path.name}
        filled = [names.get(one, one) if isinstance(one, str) else one for one in arguments]
        if not os.path.lexists(path):
            continue  # an earlier step took it away
        if name in PLACE_EDITS:
            PLACE_EDITS[name][1](path, *filled)
            continue
        try:
            part = _Part(path, file)
            part.write(EDITS[name].apply(part.read(), *filled))
        except (OSError, ValueError, IndexError, struct.error):
            continue  # an earlier step left no file, or no such part of it


class _Part:
    """A file, or the part of one that a name gives behind '#'."""

    def __init__(self, path: Path, file: str):
        if not path.is_file() or path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            raise ValueError("no plain file, or a sparse one")
        self._path, self._part = path, file.partition("#")[2]

    def read(self) -> bytes:
        content = self._path.read_bytes()
        if self._part == "header":
            (size,) = struct.unpack("<Q", content[:8])
            return content[8 : 8 + size]
        return content.split(b"\n")[int(self._part)] if self._part else content

    def write(self, new: bytes) -> None:
        content = self._path.read_bytes()
        if self._part == "header":
            (size,) = struct.unpack("<Q", content[:8])
            new = struct.pack("<Q", len(new)) + new + content[8 + size :]
        elif self._part:
            lines = content.split(b"\n")
            lines[int(self._part)] = new
            new = b"\n".join(lines)
        self._path.unlink()
        self._path.write_bytes(new)


def shown(recipe: Recipe) -> str:
    """Return a recipe as JSON on a line."""
    return json.dumps(recipe)
