import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.weights import Weights, WeightWriter, as_stored, prepared
from edgebert.subnet import Storage


@pytest.fixture
def source(checkpoint: Path) -> Checkpoint:
    return read_checkpoint(checkpoint)


def write_weights(tensors: dict[str, Array], dtype: Storage, folder: Path) -> Weights:
    return WeightWriter(folder, dtype).add(tensors)


def test_a_narrower_network_reads_a_prefix(source: Checkpoint, tmp_path: Path) -> None:
    weights = write_weights(source.tensors, "fp32", tmp_path)
    content = (tmp_path / "weights-fp32.bin").read_bytes()
    for name, expected in (
        ("1.q.weight", source.tensors["1.q.weight"][:24]),
        ("1.o.weight", source.tensors["1.o.weight"][:, :24].T),
        ("1.ffn_out.weight", source.tensors["1.ffn_out.weight"][:, :24].T),
    ):
        part = weights.tensors[name].prefix(24)
        found = np.frombuffer(content, part.dtype, int(np.prod(part.shape)), part.offset).reshape(part.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_the_manifest_describes_the_file(source: Checkpoint, tmp_path: Path, dtype: str) -> None:
    weights = write_weights(source.tensors, dtype, tmp_path)  # type: ignore[arg-type]
    content = (tmp_path / weights.file.file).read_bytes()
    assert (weights.file.size_bytes, weights.file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_large_tensors_start_on_a_page_and_none_overlap(source: Checkpoint, tmp_path: Path) -> None:
    places = sorted(write_weights(source.tensors, "int8", tmp_path).tensors.values(), key=lambda stored: stored.offset)
    for stored in places:
        assert stored.offset % (4096 if stored.size_bytes >= 4096 else 64) == 0
    for before, after in itertools.pairwise(places):
        assert before.offset + before.size_bytes <= after.offset


def test_int8_takes_about_a_quarter(source: Checkpoint, tmp_path: Path) -> None:
    int8, fp32 = (write_weights(source.tensors, dtype, tmp_path).file.size_bytes for dtype in ("int8", "fp32"))  # type: ignore[arg-type]
    assert int8 < 0.45 * fp32  # a tiny model has much of its bytes in scales, biases and padding


def test_fp16_takes_half_of_all_but_the_last_layer(source: Checkpoint, tmp_path: Path) -> None:
    weights = write_weights(source.tensors, "fp16", tmp_path)
    in_float = {name for name, stored in weights.tensors.items() if stored.dtype == np.float32}
    assert in_float == {"classifier.weight", "classifier.bias"}
    whole = write_weights(source.tensors, "fp32", tmp_path)
    for name in weights.tensors.keys() - in_float:
        assert 2 * weights.tensors[name].size_bytes == whole.tensors[name].size_bytes


def test_the_reference_computes_with_the_weights_that_fp16_stores(source: Checkpoint, tmp_path: Path) -> None:
    weights, rounded = write_weights(source.tensors, "fp16", tmp_path), as_stored(source, "fp16")
    content = (tmp_path / "weights-fp16.bin").read_bytes()
    for name in ("word", "position", "1.q.weight", "1.q.bias", "0.ffn_norm.weight", "classifier.weight"):
        place = weights.tensors[name]
        found = np.frombuffer(content, place.dtype, int(np.prod(place.shape)), place.offset).reshape(place.shape)
        np.testing.assert_array_equal(found.astype(np.float32), rounded[name])
        np.testing.assert_allclose(found, source.tensors[name], rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("write", [True, False])
def test_weights_that_float16_does_not_hold_are_refused(source: Checkpoint, tmp_path: Path, write: bool) -> None:
    source.tensors["1.q.weight"][3, 5] = -65_520
    message = "expected weights of 1.q.weight of at most 65504 in fp16, found 65520; export fp32 or int8 instead"
    with pytest.raises(ExportError, match=message):
        write_weights(source.tensors, "fp16", tmp_path) if write else as_stored(source, "fp16")


def test_rounded_weights_are_near_the_originals(source: Checkpoint) -> None:
    assert as_stored(source, "fp32") is source.tensors
    for name, tensor in as_stored(source, "int8").items():
        np.testing.assert_allclose(tensor, source.tensors[name], atol=np.abs(source.tensors[name]).max() / 250)


def test_a_folder_that_takes_no_file_is_named(source: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot write weights-int8.bin: No such file or directory; make room"):
        write_weights(source.tensors, "int8", tmp_path / "none")


def test_positions_are_cut_and_hold_the_type_of_single_texts(source: Checkpoint) -> None:
    pairs, singles = (prepared(source, 10, token_types=types) for types in (True, False))
    np.testing.assert_array_equal(pairs["position"], source.tensors["position"][:10])
    np.testing.assert_array_equal(pairs["type"], source.tensors["type"])
    np.testing.assert_array_equal(singles["position"], source.tensors["position"][:10] + source.tensors["type"][0])
    assert "type" not in singles


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_tensors_that_are_equal_are_stored_once(source: Checkpoint, tmp_path: Path, dtype: Storage) -> None:
    writer = WeightWriter(tmp_path, dtype)
    first = writer.add(source.tensors)
    assert writer.add(dict(source.tensors)) == first
    changed = {**source.tensors, "pooler.bias": source.tensors["pooler.bias"] + 1}
    second = writer.add(changed)
    assert {name for name, stored in second.tensors.items() if stored != first.tensors[name]} == {"pooler.bias"}
    stored = second.tensors["pooler.bias"]
    assert second.file.size_bytes == stored.offset + stored.size_bytes < first.file.size_bytes + 64 + stored.size_bytes
    content = (tmp_path / second.file.file).read_bytes()
    assert second.file.sha256 == hashlib.sha256(content).hexdigest()
    expected = changed["pooler.bias"].astype(stored.dtype)
    assert np.frombuffer(content[stored.offset :], stored.dtype).tolist() == expected.tolist()
    assert hashlib.sha256((tmp_path / second.file.pieces.file).read_bytes()).hexdigest() == second.file.pieces.sha256


def test_bytes_alone_do_not_make_tensors_equal(tmp_path: Path) -> None:
    """Zeros of another shape are another tensor: each graph says how many bytes it reads."""
    tensors = {"a": np.zeros((4, 2), np.float32), "b": np.zeros((2, 4), np.float32)}
    places = write_weights(tensors, "fp32", tmp_path).tensors
    assert places["a"].offset != places["b"].offset
