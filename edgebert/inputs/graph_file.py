"""Finds which parts of which files an ONNX graph refers into, so that nothing unverified is ever opened.

Reads the protobuf wire format itself, and only in the form in which protobuf's serializers write what edgebert exports:
known fields in the order of their numbers, those that are no lists once, numbers in their shortest form. Parsers read
anything else in more than one way (the upper bits of a tag, a field that is given twice, groups), so a graph that has
any of it is refused. protobuf's own parser would take 40 ms to import, as long as a small network takes to load.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgebert.errors import BundleError

# Twenty times the largest graph that was ever exported.
_MOST_BYTES = 1 << 22

# How a field is written: the lower three bits of its tag. The others are its number in onnx.proto.
_VARINT, _FIXED64, _COUNTED, _FIXED32 = 0, 1, 2, 5

# The tags of the fields that a message may have, and whether it may have several of one.
_Fields = Mapping[int, bool]


def _tag(number: int, wire: int = _COUNTED) -> int:
    return number << 3 | wire


def _one(*numbers: int, wire: int = _COUNTED) -> dict[int, bool]:
    return {_tag(number, wire): False for number in numbers}


def _several(*numbers: int, wire: int = _COUNTED) -> dict[int, bool]:
    return {_tag(number, wire): True for number in numbers}


# Versions, names, the graph and operator sets. Not metadata, in which ONNX Runtime may look for settings of sessions,
# nor functions and what is for training, which hold graphs of their own.
_MODEL = _one(1, 5, wire=_VARINT) | _one(2, 3, 4, 6, 7) | _several(8)
# A name, nodes, initializers, and what describes values. Neither sparse initializers nor annotations.
_GRAPH = _one(2, 10) | _several(1, 5, 11, 12, 13)
_NODE = _one(3, 4, 6, 7) | _several(1, 2, 5)
# A number, a text, a tensor, or a list of numbers or texts. No graphs, in which all of this might stand again.
_ATTRIBUTE = _one(1, 4, 5, 13) | _one(2, wire=_FIXED32) | _one(3, 20, wire=_VARINT)
_ATTRIBUTE |= _several(7, wire=_FIXED32) | _several(8, wire=_VARINT) | _several(9)
_TENSOR = _one(2, wire=_VARINT) | _one(8, 9, 12) | _several(1, wire=_VARINT) | _several(4, 5, 6, 7, 10, 11)
# Of all tensors initializers alone may lie in another file.
_INITIALIZER = _TENSOR | _one(14, wire=_VARINT) | _several(13)
_ENTRY = _one(1, 2)

_MODEL_GRAPH = _tag(7)
_GRAPH_NODE, _GRAPH_INITIALIZER = _tag(1), _tag(5)
_NODE_OPERATOR, _NODE_ATTRIBUTE = _tag(4), _tag(5)
_ATTRIBUTE_TENSOR = _tag(5)
_EXTERNAL_DATA, _DATA_LOCATION = _tag(13), _tag(14, _VARINT)
_EXTERNAL = 1  # of the values of data_location
_ENTRY_KEY, _ENTRY_VALUE = _tag(1), _tag(2)
# The fields that lead from a model to an entry of the external data of one of its tensors.
_TO_ENTRIES = ((_MODEL_GRAPH, _MODEL), (_GRAPH_INITIALIZER, _GRAPH), (_EXTERNAL_DATA, _INITIALIZER))

# What ONNX Runtime and OpenVINO take for the name of a file that lies in memory, from the address `offset` on.
_MEMORY = "*/_ORT_MEM_ADDR_/*"


@dataclass(frozen=True)
class Reference:
    """The bytes of a file from `start` on, `size` of them."""

    file: str
    start: int
    size: int


def references(graph: bytes, name: str) -> list[Reference]:
    """Return everything that the external data of a serialised ONNX model refers to.

    Raises:
        BundleError: the bytes are no ONNX model as edgebert writes them; `name` says in the message whose they are.
    """
    try:
        if len(graph) > _MOST_BYTES:
            raise ValueError(f"{len(graph)} bytes, where {_MOST_BYTES} are the most")
        return list(_references(graph))
    except ValueError as problem:
        advice = "do not use this bundle unless you trust where it comes from; export it again"
        raise BundleError(f"{name}: expected an ONNX graph as edgebert writes it, found {problem}; {advice}") from None


def moved(graph: bytes, file: str, other: str) -> bytes:
    """Return a graph that `references` has read, with another file in the place of one that it refers to."""
    old, new = _as_entry("location", file), _as_entry("location", other)
    return _replaced(graph, (0, len(graph)), _TO_ENTRIES, lambda entry: new if entry == old else entry)


def in_memory(graph: bytes, address: int) -> bytes:
    """Return a graph that `references` has read, whose one file of weights lies in this process's memory."""

    def change(entry: bytes) -> bytes:
        key, value = _entry(entry, 0, len(entry))
        changed = {"location": _MEMORY, "offset": str(address + int(value)) if key == "offset" else ""}
        return _as_entry(key, changed.get(key, value))

    return _replaced(graph, (0, len(graph)), _TO_ENTRIES, change)


def _references(data: bytes) -> Iterator[Reference]:
    for tag, start, stop in _fields(data, 0, len(data), _MODEL):
        if tag != _MODEL_GRAPH:
            continue
        for part, first, last in _fields(data, start, stop, _GRAPH):
            if part == _GRAPH_NODE:
                _check_node(data, first, last)
            elif part == _GRAPH_INITIALIZER:
                yield from _reference(data, first, last)


def _check_node(data: bytes, start: int, stop: int) -> None:
    for tag, first, last in _fields(data, start, stop, _NODE):
        # The one operator of ONNX Runtime that opens a file: what a provider has compiled.
        if tag == _NODE_OPERATOR and data[first:last] == b"EPContext":
            raise ValueError("an operator EPContext")
        if tag == _NODE_ATTRIBUTE:
            for part, begin, end in _fields(data, first, last, _ATTRIBUTE):
                if part == _ATTRIBUTE_TENSOR:
                    for _ in _fields(data, begin, end, _TENSOR):
                        pass


def _reference(data: bytes, start: int, stop: int) -> Iterator[Reference]:
    """Yield where an initializer lies, if that is outside."""
    entries: dict[str, str] = {}
    location = 0
    for tag, first, last in _fields(data, start, stop, _INITIALIZER):
        if tag == _EXTERNAL_DATA:
            key, value = _entry(data, first, last)
            if key in entries:
                raise ValueError(f"the {key!a} of a tensor twice")
            entries[key] = value
        elif tag == _DATA_LOCATION:
            location, _ = _varint(data, first, last)
    if not entries and not location:
        return
    # ONNX Runtime knows other keys too, among them places of weights that were packed before.
    if location != _EXTERNAL or entries.keys() != {"location", "offset", "length"}:
        raise ValueError(f"a tensor at location {location} with {sorted(entries)!a:.100}")
    yield Reference(entries["location"], _number(entries["offset"]), _number(entries["length"]))


def _entry(data: bytes, start: int, stop: int) -> tuple[str, str]:
    """Return the key and the value of an entry."""
    texts = {tag: data[first:last].decode() for tag, first, last in _fields(data, start, stop, _ENTRY)}
    if len(texts) != len(_ENTRY):
        raise ValueError("an entry that lacks a key or a value")
    return texts[_ENTRY_KEY], texts[_ENTRY_VALUE]


def _number(text: str) -> int:
    """Return a number that is written as `str` does: others may be read in several ways."""
    if not re.fullmatch("0|[1-9][0-9]{0,17}", text):
        raise ValueError(f"the place {text!a:.40}")
    return int(text)


def _fields(data: bytes, at: int, end: int, known: _Fields) -> Iterator[tuple[int, int, int]]:
    """Yield the tag of every field of a message, and where its content starts and stops."""
    before = 0
    while at < end:
        # Most numbers have one byte: a graph is read in half of the time where no function is called for these.
        tag, start = (data[at], at + 1) if data[at] < 128 else _varint(data, at, end)
        if tag not in known or tag < before or (tag == before and not known[tag]):
            raise ValueError(f"a field {tag >> 3} in form {tag & 7} at byte {at}")
        before, wire = tag, tag & 7
        if wire == _COUNTED:
            size, start = (data[start], start + 1) if start < end and data[start] < 128 else _varint(data, start, end)
            at = start + size
        elif wire == _VARINT:
            _, at = _varint(data, start, end)
        else:
            at = start + (8 if wire == _FIXED64 else 4)
        if at > end:
            raise ValueError(f"{end - start} bytes of {at - start} at byte {start}")
        yield tag, start, at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number that starts at a position, and the position behind it."""
    value = 0
    # Seven bits a byte, the lowest first, of at most 64; the eighth says that more follow.
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 127) << 7 * (place - at)
        if byte < 128:
            if (byte == 0 and place > at) or value >> 64:
                break
            return value, place + 1
    raise ValueError(f"no number at byte {at}")


def _replaced(
    data: bytes, whole: tuple[int, int], path: Sequence[tuple[int, _Fields]], change: Callable[[bytes], bytes]
) -> bytes:
    """Return a message after a change of the content of all fields that a path of tags leads to."""
    if not path:
        return change(data[slice(*whole)])
    (tag, known), *deeper = path
    out = bytearray()
    before = whole[0]
    for found, start, stop in _fields(data, *whole, known):
        if found == tag:
            content = _replaced(data, (start, stop), deeper, change)
            out += _as_varint(tag) + _as_varint(len(content)) + content
        else:
            out += data[before:stop]
        before = stop
    return bytes(out)


def _as_entry(key: str, value: str) -> bytes:
    """Return an entry of external data."""
    fields = ((_ENTRY_KEY, key.encode()), (_ENTRY_VALUE, value.encode()))
    return b"".join(_as_varint(tag) + _as_varint(len(content)) + content for tag, content in fields)


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
