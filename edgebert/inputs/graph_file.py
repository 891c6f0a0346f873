"""Finds which parts of which files an ONNX graph refers into, so that nothing unverified is ever opened.

Reads the protobuf wire format itself: the device side has no onnx package, and ONNX Runtime before 1.24 follows
`..`, absolute paths and links out of the graph's folder. Field numbers are those of onnx.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from edgebert.errors import BundleError

# For each message: the fields that lead to other messages in which a tensor may stand. Fields that are given twice
# are all read, since protobuf's own reader merges them.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA = 13  # of a tensor
# How a field is written: the lower three bits of its tag.
_VARINT, _COUNTED = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}


@dataclass(frozen=True)
class Reference:
    """The bytes of a file from `start` on, `size` of them, or all for None."""

    file: str
    start: int
    size: int | None


def references(graph: bytes, name: str) -> list[Reference]:
    """Return everything that the external data of a serialised ONNX model may be taken to refer to.

    Raises:
        BundleError: the bytes are no ONNX model.
    """
    try:
        return list(_references(memoryview(graph), "model"))
    except (IndexError, ValueError, RecursionError):
        raise BundleError(f"{name}: expected an ONNX graph, found something else; export the bundle again") from None


def _references(message: memoryview, kind: str) -> Iterator[Reference]:
    if kind == "tensor":
        yield from _tensor_references(message)
        return
    children = _CHILDREN[kind]
    for number, content in _counted_fields(message):
        if number in children:
            yield from _references(content, children[number])


def _tensor_references(tensor: memoryview) -> Iterator[Reference]:
    """Yield what a tensor's key-value entries refer to."""
    entries = []
    for number, entry in _counted_fields(tensor):
        if number == _EXTERNAL_DATA:
            fields = [(field, bytes(content).decode()) for field, content in _counted_fields(entry)]
            keys, values = ([text for field, text in fields if field == wanted] for wanted in (1, 2))
            entries.append((keys, values))
    # Which of two keys or values would be taken is not known: then every file that is named counts, as a whole.
    plain = all(len(keys) == len(values) == 1 for keys, values in entries)
    given = {keys[0]: values[0] for keys, values in entries} if plain else {}
    start, size = 0, None
    if len(given) == len(entries):
        start = int(given.get("offset", 0))
        size = int(given["length"]) if "length" in given else None
        if start < 0 or (size is not None and size < 0):
            raise ValueError("a place before the start of the file")
    for keys, values in entries:
        if "location" in keys:
            yield from (Reference(file, start, size) for file in values)


def _counted_fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the content of every length-delimited field."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _COUNTED:
            size, at = _varint(message, at)
            # A slice would end at the message's end and hide what is missing.
            if at + size > len(message):
                raise ValueError("a field runs over its message's end")
            yield tag >> 3, message[at : at + size]
            at += size
        elif wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in _FIXED_BYTES:
            at += _FIXED_BYTES[wire]
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at a position, and the position behind it."""
    value, shift = 0, 0
    # Seven bits a byte, the lowest first; the eighth says that more follow.
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
