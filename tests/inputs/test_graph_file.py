import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import BundleError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.graph_file import Reference, references


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    assert len(content) < 128
    tag = number << 3 | 2
    tag_bytes = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return tag_bytes + bytes([len(content)]) + content


LOCATION = field(1, b"location") + field(2, b"../secret")
TENSOR = field(13, LOCATION)


def test_a_real_graph_refers_to_its_weight_file_alone(builtin: Bundle) -> None:
    for subnet in builtin.manifest.subnetworks:
        content = builtin.verified(subnet.graphs["fused"])
        assert {reference.file for reference in references(content, subnet.id)} == {"weights-int8.bin"}


def test_a_narrower_network_refers_to_fewer_bytes(builtin: Bundle) -> None:
    sizes = [
        sum(reference.size or 0 for reference in references(builtin.graph(builtin.subnet(name), "fused"), name))
        for name in ("w1.00-d1.00-int8", "w0.50-d1.00-int8", "w0.50-d0.50-int8", "w0.25-d0.50-int8")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= builtin.manifest.weight_files[0].size_bytes


@pytest.mark.parametrize(
    "model",
    [
        field(7, field(5, TENSOR)),  # an initializer
        field(7, field(1, field(5, field(5, TENSOR)))),  # a node's constant
        field(7, field(1, field(5, field(6, field(5, TENSOR))))),  # an initializer of a node's sub-graph
        field(7, field(15, field(1, TENSOR))),  # a sparse initializer
        field(25, field(7, field(5, field(10, TENSOR)))),  # a constant in a function
        field(20, field(1, field(5, TENSOR))),  # an initializer for training
        field(7, field(5, field(13, field(2, b"../secret") + field(1, b"location")))),  # the value first
        field(7, field(5, field(13, LOCATION + field(2, b"weights.bin")))),  # a second value
        field(7, field(5, field(13, field(1, b"offset") + LOCATION))),  # a second key
        field(7, b"") + field(7, field(5, TENSOR)),  # a second graph
    ],
)
def test_a_location_is_found_wherever_onnx_would_read_it(model: bytes) -> None:
    assert "../secret" in {reference.file for reference in references(model, "model")}


def entry(key: bytes, value: bytes) -> bytes:
    return field(13, field(1, key) + field(2, value))


@pytest.mark.parametrize(
    ("entries", "start", "size"),
    [
        (entry(b"offset", b"64") + entry(b"length", b"128"), 64, 128),
        (entry(b"length", b"128"), 0, 128),
        (b"", 0, None),
        (entry(b"offset", b"64") + entry(b"offset", b"0"), 0, None),  # which one is meant is anyone's guess
        (field(13, field(1, b"length") + field(2, b"1") + field(2, b"9")), 0, None),
    ],
)
def test_a_place_is_found_or_the_whole_file_is_meant(entries: bytes, start: int, size: int | None) -> None:
    model = field(7, field(5, entry(b"location", b"weights.bin") + entries))
    assert references(model, "model") == [Reference("weights.bin", start, size)]


@pytest.mark.parametrize("number", [b"-1", b"x"])
def test_a_place_that_is_none_is_refused(number: bytes) -> None:
    model = field(7, field(5, entry(b"location", b"weights.bin") + entry(b"offset", number)))
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        references(model, "model")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        references(content, "x.onnx")
    except BundleError as problem:
        assert "x.onnx: expected an ONNX graph" in str(problem)  # noqa: PT017
