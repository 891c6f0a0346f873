"""Edits of ONNX graphs on the wire format of protobuf: what its readers may read in two ways, and other references.

A message is a list of fields; its form on the wire is written anew, with the tags and lengths that an edit asks for.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from fuzz.edits import Arguments, Edit

# Which fields of a message are messages themselves (onnx.proto); all others of that form are left as bytes.
_CHILDREN = {
    "model": {7: "graph", 8: "leaf", 14: "leaf", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {13: "leaf"},
    "sparse": {1: "tensor", 2: "tensor"},
    "value": {2: "type"},
    "type": {1: "shaped"},
    "shaped": {2: "shape"},
    "shape": {1: "leaf"},
    "leaf": {},
}
_VARINT, _FIXED_64, _COUNTED, _FIXED_32 = 0, 1, 2, 5
_TENSOR_ENTRY = 13
_MOST_BYTES = 1_000_000


@dataclass
class Field:
    """A field: `content` is a number, bytes, or the fields of a message; the others change how it is written."""

    number: int
    wire: int
    content: "int | bytes | list[Field]"
    more_tag_bits: int = 0
    spare_bytes: int = 0  # by how many bytes the tag and the length are written longer than they need be
    wrong_length: int = 0


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def _write_varint(value: int, spare: int = 0) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    for _ in range(spare):
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def _parse(data: bytes, kind: str = "model") -> list[Field]:
    fields, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            content, at = _read_varint(data, at)
            fields.append(Field(number, wire, content))
            continue
        size = {_FIXED_64: 8, _FIXED_32: 4}.get(wire)
        if wire == _COUNTED:
            size, at = _read_varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("no message")
        part, at = data[at : at + size], at + size
        child = _CHILDREN[kind].get(number) if wire == _COUNTED else None
        fields.append(Field(number, wire, _parse(part, child) if child else part))
    return fields


def _written(fields: list[Field]) -> bytes:
    out = []
    for field in fields:
        out.append(_write_varint(field.number << 3 | field.wire | field.more_tag_bits << 32, field.spare_bytes))
        if isinstance(field.content, int):
            out.append(_write_varint(field.content, field.spare_bytes))
            continue
        content = _written(field.content) if isinstance(field.content, list) else field.content
        if field.wire == _COUNTED:
            out.append(_write_varint(len(content) + field.wrong_length, field.spare_bytes))
        out.append(content)
    return b"".join(out)


def _paths(fields: list[Field], path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    for place, field in enumerate(fields):
        yield (*path, place)
        if isinstance(field.content, list):
            yield from _paths(field.content, (*path, place))


@functools.lru_cache(128)
def _paths_by_depth(content: bytes) -> list[list[tuple[int, ...]]]:
    paths = sorted(_paths(_parse(content)), key=len)
    return [list(some) for _, some in itertools.groupby(paths, len)]


def _draw(random: Random, content: bytes) -> list[int] | None:
    try:
        by_depth = _paths_by_depth(content)
    except (ValueError, IndexError):
        return None
    return list(random.choice(random.choice(by_depth))) if by_depth else None


def _twice(holder: list[Field], at: int) -> None:
    holder.insert(at, holder[at])


def _halves(holder: list[Field], at: int) -> None:
    """Write a message as two of the same number, which protobuf merges."""
    field = holder[at]
    if isinstance(field.content, list) and field.content:
        middle = len(field.content) // 2
        halves = (field.content[:middle], field.content[middle:])
        holder[at : at + 1] = [Field(field.number, field.wire, half) for half in halves]


def _swapped(holder: list[Field], at: int) -> None:
    holder[at - 1], holder[at] = holder[at], holder[at - 1]


def _number(holder: list[Field], at: int, value: int) -> None:
    if isinstance(holder[at].content, int):
        holder[at].content = value


def _text(holder: list[Field], at: int, text: str) -> None:
    if isinstance(holder[at].content, bytes) and holder[at].wire == _COUNTED:
        holder[at].content = text.encode("latin-1")


def _group(holder: list[Field], at: int) -> None:
    """Wrap a field into a group, which no field of ONNX is."""
    number = holder[at].number
    holder[at : at + 1] = [Field(number, 3, b""), holder[at], Field(number, 4, b"")]


def _deep(holder: list[Field], at: int, depth: int) -> None:
    """Put a node before a field whose attribute is a graph of a node whose attribute is one, and so on."""
    content = b""
    for _ in range(depth):
        # A graph {node {attribute {graph}}}; lengths grow from the inside.
        for number in (6, 5, 1):
            content = _write_varint(number << 3 | _COUNTED) + _write_varint(len(content)) + content
    holder.insert(at, Field(7, _COUNTED, content))


def _set(name: str, value: object):
    def change(holder: list[Field], at: int, *arguments: int) -> None:
        setattr(holder[at], name, arguments[0] if arguments else value)

    return change


def _field_edit(change, more=lambda random: []) -> Edit:
    """Return the edit of one field, which a path leads to."""

    def propose(random: Random, content: bytes) -> Arguments | None:
        path = _draw(random, content)
        return None if path is None else [path, *more(random)]

    def apply(content: bytes, path: list[int], *arguments: object) -> bytes:
        if len(content) > _MOST_BYTES:
            return content  # an earlier step wrote what is parsed for minutes
        try:
            fields = holder = _parse(content)
            for place in path[:-1]:
                holder = holder[place].content
            change(holder, path[-1], *arguments)
        except (ValueError, IndexError, TypeError, AttributeError, RecursionError):
            return content  # an earlier step left no such place
        return _written(fields)

    return Edit(propose, apply)


# {bait} is a file beside the bundle's folder, {bait_folder} the folder that it is in.
LOCATIONS = (
    "../bait.bin",
    "{bait}",
    "./weights-int8.bin",
    "weights-int8.bin/",
    "",
    ".",
    "..",
    "bundle.json",
    "bait-link",
)
LOCATIONS += (
    "weights-int8.bin\x00",
    "tokenizer.json",
    "unlisted.bin",
    "WEIGHTS-INT8.BIN",
    "a/../weights-int8.bin",
    "\xff",
)
LOCATIONS += ("*/_ORT_MEM_ADDR_/*", "file:///etc/hostname", "/dev/zero", "/proc/self/mem")
PLACES = (
    "-1",
    "0",
    "1",
    "4096",
    "262144",
    "99999999999",
    "9223372036854775807",
    "9223372036854775808",
    "1e3",
    " 8",
    "",
)
PLACES += ("0x10", "-9223372036854775808", "18446744073709551616", "8\x00", "+8", "0" * 5000 + "8", "1_0", "\xb2")


def _entries(content: bytes) -> tuple[list[Field], list[list[Field]]]:
    """Return a model, and the fields of every tensor in it that has external data."""
    model = _parse(content)
    tensors = []
    for path in _paths(model):
        holder: list[Field] = model
        for place in path[:-1]:
            holder = holder[place].content
        content_of = holder[path[-1]].content
        is_tensor = isinstance(content_of, list) and any(field.number == _TENSOR_ENTRY for field in content_of)
        if is_tensor and holder is not model:
            tensors.append(content_of)
    return model, tensors


def _propose_reference(random: Random, content: bytes) -> Arguments | None:
    try:
        _, tensors = _entries(content)
    except (ValueError, IndexError):
        return None
    key = random.choice(("location", "offset", "length", "checksum"))
    value = random.choice(LOCATIONS if key == "location" else PLACES)
    how = random.choice(("replace", "replace", "first", "last", "drop"))
    return [random.randrange(len(tensors)), key, value, how] if tensors else None


def _apply_reference(content: bytes, which: int, key: str, value: str, how: str) -> bytes:
    try:
        model, tensors = _entries(content)
        tensor = tensors[which]
    except (ValueError, IndexError):
        return content
    new = Field(13, 2, [Field(1, 2, key.encode()), Field(2, 2, value.encode("latin-1"))])
    if how in ("replace", "drop"):
        tensor[:] = [one for one in tensor if not (one.number == 13 and _key(one) == key.encode())]
    if how != "drop":
        first = next((place for place, one in enumerate(tensor) if one.number == 13), len(tensor))
        tensor.insert(first if how == "first" else len(tensor), new)
    return _written(model)


def _key(entry: Field) -> object:
    assert isinstance(entry.content, list)
    return next((field.content for field in entry.content if field.number == 1), None)


_NUMBERS = (0, 1, 2, 7, 127, 2**31 - 1, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_STRINGS = ("", "a", "\x00", "\xff", "Loop", "If", "Add", "Expand", "ConstantOfShape", "logits", "com.microsoft")
_STRINGS += ("com.evil", "input_ids", "\x1b[2J\n", "x" * 100_000)

GRAPH_EDITS = {
    "field-drop": _field_edit(lambda holder, at: holder.pop(at)),
    "field-twice": _field_edit(_twice),
    "field-halves": _field_edit(_halves),
    "field-swap": _field_edit(_swapped),
    "field-group": _field_edit(_group),
    "field-number": _field_edit(_number, lambda r: [r.choice(_NUMBERS)]),
    "field-text": _field_edit(_text, lambda r: [r.choice(_STRINGS)]),
    "field-tag-bits": _field_edit(_set("more_tag_bits", 1), lambda r: [r.choice((1, 3, 2**20))]),
    "field-spare-bytes": _field_edit(_set("spare_bytes", 1), lambda r: [r.choice((1, 2, 6, 9, 40))]),
    "field-length": _field_edit(_set("wrong_length", 1), lambda r: [r.choice((-9, -1, 1, 7, 2**31, 2**40, 2**63))]),
    "field-renumber": _field_edit(_set("number", 1), lambda r: [r.choice((0, 1, 2, 5, 7, 13, 15, 20, 25, 536870911))]),
    "field-wire": _field_edit(_set("wire", 0), lambda r: [r.choice((0, 1, 2, 3, 4, 5, 6, 7))]),
    "field-deep": _field_edit(_deep, lambda r: [r.choice((3, 30, 90, 400, 3000))]),
    "reference": Edit(_propose_reference, _apply_reference),
}
