import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.bundle import Bundle
from edgebert.errors import BundleError
from edgebert.graph_file import external_files


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
        assert external_files(content, subnet.id) == {"weights-int8.bin"}


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
    assert "../secret" in external_files(model, "model")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        external_files(content, "x.onnx")
    except BundleError as problem:
        assert "x.onnx: expected an ONNX graph" in str(problem)  # noqa: PT017
