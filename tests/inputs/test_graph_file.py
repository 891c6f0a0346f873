import time
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import BundleError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.graph_file import Reference, in_memory, moved, references


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(key: bytes, value: bytes) -> bytes:
    return field(13, field(1, key) + field(2, value))


OUTSIDE = varint(14 << 3) + b"\1"  # data_location: external
PLACE = entry(b"location", b"weights.bin") + entry(b"offset", b"64") + entry(b"length", b"128")
TENSOR = PLACE + OUTSIDE


def model(tensor: bytes) -> bytes:
    """Return a model with one initializer."""
    return field(7, field(5, tensor))


def is_refused(content: bytes) -> bool:
    try:
        references(content, "x.onnx")
    except BundleError as problem:
        assert str(problem).startswith("x.onnx: expected an ONNX graph as edgebert writes it, found ")  # noqa: PT017
        return True
    return False


def graphs() -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted(BUILTIN.glob("*.onnx")))


def test_a_real_graph_refers_to_its_weight_file_alone() -> None:
    for content in graphs():
        assert {reference.file for reference in references(content, "x")} == {"weights-int8.bin"}


def test_a_graph_whose_weights_are_in_memory_refers_to_the_same_places() -> None:
    address = 0x7FFF12345000
    for content in graphs():
        inside = references(in_memory(content, address), "x")
        assert {one.file for one in inside} == {"*/_ORT_MEM_ADDR_/*"}
        assert [(one.start - address, one.size) for one in inside] == [
            (one.start, one.size) for one in references(content, "x")
        ]


@pytest.mark.full
def test_onnx_reads_the_same_places() -> None:
    import onnx

    for content in graphs():
        read = onnx.load_from_string(content).graph.initializer
        places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in read if tensor.external_data]
        expected = [Reference(one["location"], int(one["offset"]), int(one["length"])) for one in places]
        assert references(content, "x") == expected


@pytest.mark.full
def test_a_graph_is_moved_to_another_file_and_is_else_the_same() -> None:
    import onnx

    for content in graphs():
        expected = onnx.load_from_string(content)
        for tensor in expected.graph.initializer:
            for one in tensor.external_data:
                one.value = "b" * 200 if one.key == "location" else one.value
        assert moved(content, "weights-int8.bin", "b" * 200) == expected.SerializeToString()
        assert moved(content, "another.bin", "b" * 200) == content


def test_a_narrower_network_refers_to_fewer_bytes(builtin: Bundle) -> None:
    sizes = [
        sum(reference.size for reference in references(builtin.graph(builtin.subnet(name), "fused"), name))
        for name in (
            "w1.00-d1.00-int8-static",
            "w0.50-d1.00-int8-static",
            "w0.50-d0.50-int8-static",
            "w0.25-d0.50-int8-static",
        )
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= builtin.manifest.weight_files[0].size_bytes


def test_a_place_is_read() -> None:
    assert references(model(TENSOR), "x") == [Reference("weights.bin", 64, 128)]
    assert references(model(b""), "x") == []


INNER = field(5, TENSOR)
NODE_WITH = {
    "a tensor": field(5, TENSOR),
    "a graph": field(6, INNER),
    "tensors": field(10, TENSOR),
    "graphs": field(11, INNER),
    "a sparse tensor": field(22, field(1, TENSOR)),
    "sparse tensors": field(23, field(1, TENSOR)),
}


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(field(7, field(1, field(5, one))), id=f"a node with {what}") for what, one in NODE_WITH.items()),
        pytest.param(field(7, field(15, field(1, TENSOR))), id="a sparse initializer"),
        pytest.param(field(7, field(14, b"")), id="an annotation"),
        pytest.param(field(7, field(1, field(4, b"EPContext"))), id="what a provider has compiled"),
        pytest.param(field(14, field(1, b"ort_config") + field(2, b"{}")), id="settings of a session"),
        pytest.param(field(20, field(1, INNER)), id="a graph for training"),
        pytest.param(field(25, field(7, NODE_WITH["a tensor"])), id="a function"),
    ],
)
def test_whatever_else_may_refer_to_a_file_is_refused(content: bytes) -> None:
    assert is_refused(content)


def test_nodes_with_values_of_their_own_are_read() -> None:
    constant = field(1, b"value") + field(5, field(9, b"1234")) + varint(20 << 3) + b"\4"
    assert references(field(7, field(1, field(4, b"Constant") + field(5, constant))), "x") == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(field(7, b"") + model(TENSOR), id="two graphs, which parsers merge"),
        pytest.param(model(PLACE + OUTSIDE + OUTSIDE), id="two values of one field"),
        pytest.param(model(OUTSIDE + PLACE), id="fields in another order"),
        pytest.param(model(field(13, field(1, b"key") + field(1, b"location")) + OUTSIDE), id="two keys"),
        pytest.param(model(PLACE + entry(b"location", b"../secret") + OUTSIDE), id="two locations"),
        pytest.param(b"\xba\x80\x80\x80\x80\x01" + field(7, INNER)[1:], id="a tag with bits above the 32nd"),
        pytest.param(b"\xba\x00" + field(7, INNER)[1:], id="a tag that is longer than it need be"),
        pytest.param(b"\x3a" + b"\x80" * 12 + b"\0", id="a number of more than ten bytes"),
        pytest.param(b"\x08" + b"\xff" * 9 + b"\x02", id="a number of more than 64 bits"),
        pytest.param(b"\x3b" + INNER + b"\x3c", id="a group"),
        pytest.param(b"\x3b\x3c" + model(TENSOR), id="a group before the graph"),
        pytest.param(b"\x39" + b"12345678", id="a graph of fixed size"),
        pytest.param(field(99, b"") + model(TENSOR), id="an unknown field"),
        pytest.param(field(7, b"")[:-1] + b"\x05ab", id="a field that runs over its message"),
        pytest.param(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="a length of 2^63"),
        pytest.param(b"\x3a", id="a field without content"),
    ],
)
def test_what_parsers_read_in_more_than_one_way_is_refused(content: bytes) -> None:
    assert is_refused(content)


@pytest.mark.parametrize(
    "tensor",
    [
        PLACE,
        PLACE + varint(14 << 3) + b"\0",
        PLACE + varint(14 << 3) + b"\2",
        OUTSIDE,
        entry(b"location", b"weights.bin") + OUTSIDE,
        PLACE + entry(b"checksum", b"0") + OUTSIDE,
        PLACE + entry(b"prepacked_0", b"weight|0;9;x") + OUTSIDE,
        PLACE + field(13, field(1, b"key")) + OUTSIDE,
        *(
            entry(b"location", b"weights.bin") + entry(b"offset", number) + entry(b"length", b"128") + OUTSIDE
            for number in (b"-1", b"+1", b" 1", b"01", b"1_0", b"x", b"", b"9" * 19, "²".encode(), b"\xff")
        ),
        TENSOR.replace(b"weights.bin", b"weights\xff\xff\xff\xff"),
    ],
)
def test_a_place_that_is_incomplete_or_no_place_is_refused(tensor: bytes) -> None:
    assert is_refused(model(tensor))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    is_refused(content)


@pytest.mark.full
@hypothesis.settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10_979), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_graph_with_changed_bytes_is_read_as_protobuf_reads_it_or_refused(changes: list[tuple[int, int]]) -> None:
    import onnx
    from google.protobuf import message

    content = bytearray((BUILTIN / "w0.25-d0.50-int8-static.fused.onnx").read_bytes())
    for place, byte in changes:
        content[place] = byte
    if is_refused(bytes(content)):
        return
    try:
        read = onnx.ModelProto.FromString(bytes(content)).graph.initializer
    except message.DecodeError:  # so would ONNX Runtime refuse it
        return
    named = {one.value for tensor in read for one in tensor.external_data if one.key == "location"}
    assert {reference.file for reference in references(bytes(content), "x")} == named


def test_what_is_no_graph_is_refused_without_reading_it_all() -> None:
    # Hours, if numbers had any length: no limit that a busy machine could miss.
    start = time.process_time()
    assert is_refused(b"\xff" * 2_000_000)
    assert is_refused(model(b"\xff" * 2_000_000))
    assert is_refused(bytes(5_000_000))
    assert time.process_time() - start < 30


def test_a_deep_graph_is_refused() -> None:
    content = b""
    for _ in range(20_000):
        content = content if len(content) > 100_000 else field(1, field(5, field(6, content)))
    assert is_refused(field(7, content))
