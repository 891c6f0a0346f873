"""Finds which files an ONNX graph refers into, so that nothing unverified is ever opened.

Reads the protobuf wire format itself: the device side has no onnx package, and ONNX Runtime before 1.24 follows
`..`, absolute paths and links out of the graph's folder. Field numbers are those of onnx.proto.
"""

from collections.abc import Iterator

from edgebert.errors import BundleError

# For each message: the fields that lead to other messages in which a tensor may stand.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5


def external_files(graph: bytes, name: str) -> set[str]:
    """Return every location that the external data of a serialised ONNX model names.

    Raises:
        BundleError: the bytes are no ONNX model.
    """
    try:
        return set(_locations(memoryview(graph), "model"))
    except (IndexError, ValueError, RecursionError):
        raise BundleError(f"{name}: expected an ONNX graph, found something else; export the bundle again") from None


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    if kind == "entry":
        yield from _location(message)
        return
    children = _CHILDREN[kind]
    for number, content in _counted_fields(message):
        if number in children:
            yield from _locations(content, children[number])


def _location(entry: memoryview) -> Iterator[str]:
    """Yield the values of a key-value entry if it may be a location: repeated keys are all taken at their worst."""
    fields = [(number, bytes(content).decode()) for number, content in _counted_fields(entry)]
    if (1, "location") in fields:
        yield from (text for number, text in fields if number == 2)


def _counted_fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the content of every length-delimited field."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _COUNTED:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field runs over its message's end")
            yield tag >> 3, message[at : at + size]
            at += size
        elif wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at a position, and the position behind it."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
