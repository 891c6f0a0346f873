import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgebert import records
from edgebert.engines.session import open_session
from edgebert.errors import BundleError
from edgebert.inputs.bundle import BUILTIN, Bundle, Golden, GoldenOutput, GoldenValues
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.graph_file import references
from edgebert.inputs.manifest import ExportedSubnet, FileRef
from edgebert.inputs.pieces import MOST_OF_A_PIECE
from profiles import way

Alter = Callable[..., Path]


def test_the_builtin_bundle_is_whole_and_small(builtin: Bundle) -> None:
    for file in builtin.files():
        assert hashlib.sha256((BUILTIN / file.file).read_bytes()).hexdigest() == file.sha256
    named = {file.file for file in builtin.files()} | {MANIFEST}
    assert {path.name for path in BUILTIN.iterdir()} == named
    assert sum(path.stat().st_size for path in BUILTIN.iterdir()) <= 30e6


def test_the_builtin_bundle_holds_dynaberts_grid(builtin: Bundle) -> None:
    grid = {(subnet.width, subnet.depth) for subnet in builtin.manifest.subnetworks}
    assert grid == {(width, depth) for width in (0.25, 0.5, 0.75, 1.0) for depth in (0.5, 0.75, 1.0)}
    assert all(subnet.quality is not None for subnet in builtin.manifest.subnetworks)


def test_graphs_cost_little_beside_the_weights(builtin: Bundle) -> None:
    total = sum(path.stat().st_size for path in BUILTIN.iterdir())
    manifest = builtin.manifest
    assert manifest.answers is not None
    tokenizer, answers = ((BUILTIN / ref.file).stat().st_size for ref in (manifest.tokenizer, manifest.answers))
    assert total - answers <= 1.03 * (manifest.weight_files[0].size_bytes + tokenizer)
    assert answers <= 0.01 * total


def test_the_answers_of_each_sub_network_give_its_quality(builtin: Bundle) -> None:
    answers = builtin.answers()
    assert answers is not None
    for subnet, one in zip(builtin.manifest.subnetworks, answers.subnetworks, strict=True):
        assert subnet.quality is not None
        assert (answers.dataset, answers.samples) == (subnet.quality.dataset, subnet.quality.samples)
        assert one.id == subnet.id
        assert sum(one.gained) / sum(one.possible) == subnet.quality.value
        assert all(0.5 <= confidence <= 1 for confidence in one.confidences)


def test_a_bundle_without_evaluation_data_has_no_answers(alter_manifest: Alter) -> None:
    bundle = Bundle.load(alter_manifest(answers=None))
    assert bundle.answers() is None
    assert "answers.json" not in {file.file for file in bundle.files()}
    assert len(list(Bundle.load().files())) == len(list(bundle.files())) + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b'"gained":[',
            b'"gained":[1,',
            r"expected 993 of each for .*, found 993 confidences, 994 gained and 993",
        ),
        (b'"confidences":[', b'"confidences":[0.5,', r"expected 993 of each for .*, found 994 confidences, 993"),
        (
            b'"samples":993',
            b'"samples":992',
            r"expected 992 of each for w1.00-d1.00-int8-static, found 993 confidences, 993",
        ),
        (b'"gained":[', b'"gained":[-', r"answers.json: Expected int >= 0 at \$.subnetworks\[0\].gained"),
        (b'"confidences":[', b'"confidences":[1', r"Expected float <= 1.* at \$.subnetworks\[0\].confidences\[0\]"),
        (b'"dataset"', b'"data"', r"answers.json: Object contains unknown field data; make it again"),
        (b"w1.00-d1.00-int8-static", b"another", r"answers.json: expected answers of w1.00-"),
    ],
)
def test_answers_that_are_not_one_for_each_sample_are_refused(
    bundle_path: Path, alter_manifest: Alter, old: bytes, new: bytes, message: str
) -> None:
    content = (bundle_path / "answers.json").read_bytes().replace(old, new, 1)
    (bundle_path / "answers.json").write_bytes(content)
    forged = FileRef.of("answers.json", content)
    with pytest.raises(BundleError, match=message):
        Bundle.load(alter_manifest(answers=forged)).answers()


def test_golden_values_of_another_shape_are_refused() -> None:
    values = {"name": "logits", "values": (1.0, 2.0, 3.0), "tolerance": 0.1}
    with pytest.raises(ValueError, match=r"expected values of shape \(2, 2\) for logits, found 3"):
        GoldenValues(shape=(2, 2), **values)


def test_golden_values_of_any_rank_are_read_as_they_were_written() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    values = GoldenValues(name="logits", shape=array.shape, values=tuple(array.ravel().tolist()), tolerance=0.1)
    golden = Golden(
        schema_version=Golden.VERSION,
        texts=("a", "b"),
        inputs={"input_ids": ((1, 2), (3, 4))},
        outputs=(GoldenOutput(id="full-int8", values=(values,)),),
    )
    (found,) = records.decode(records.encode(golden), Golden, "golden.json", BundleError).values_of("full-int8")
    np.testing.assert_array_equal(found.array, array)
    assert golden.values_of("another") == ()


def test_an_unknown_sub_network_lists_the_known(builtin: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no sub-network 'w9' in bundle .*; choose one of w1.00-d1.00-int8-static, "):
        builtin.subnet("w9")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*: expected a folder with bundle.json; make one with"):
        Bundle.load(tmp_path)


def test_a_missing_file_is_named(bundle_path: Path) -> None:
    (bundle_path / "weights-int8.bin").unlink()
    with pytest.raises(BundleError, match=r"weights-int8.bin is missing; copy the bundle again"):
        Bundle.load(bundle_path)


def test_a_truncated_weight_file_is_found_at_once(bundle_path: Path) -> None:
    with (bundle_path / "weights-int8.bin").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(BundleError, match=r"weights-int8.bin: expected \d+ bytes, found 1000; it was truncated"):
        Bundle.load(bundle_path)


def test_an_altered_weight_file_is_found_before_use(bundle_path: Path) -> None:
    with (bundle_path / "weights-int8.bin").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\x55")
    bundle = Bundle.load(bundle_path)
    with pytest.raises(BundleError, match=r"weights-int8.bin was altered: expected sha256 \w+..., found \w+...; copy"):
        check(bundle, bundle.manifest.subnetworks[0])


def test_a_bundle_that_was_replaced_is_told_from_one_that_was_altered(bundle_path: Path, alter_manifest: Alter) -> None:
    bundle = Bundle.load(bundle_path)
    alter_manifest(name="other")
    assert bundle.golden()  # the same in both
    (bundle_path / "golden.json").write_bytes(b"{}")
    replaced = f"^the bundle at {bundle_path} was replaced since it was loaded; load it again$"
    with pytest.raises(BundleError, match=replaced):
        bundle.golden()
    (bundle_path / MANIFEST).unlink()
    with pytest.raises(BundleError, match=r"golden.json: expected .* bytes, found 2; it was truncated or altered"):
        bundle.golden()


def test_a_bundle_that_is_replaced_while_it_is_loaded_says_so(
    bundle_path: Path, alter_manifest: Alter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_for_late(bundle: Bundle) -> Any:
        alter_manifest(name="other")
        (bundle_path / "golden.json").write_bytes(b"{}")
        return files(bundle)

    files = Bundle.files
    monkeypatch.setattr(Bundle, "files", looked_for_late)
    with pytest.raises(BundleError, match="was replaced since it was loaded; load it again"):
        Bundle.load(bundle_path)


def test_what_a_sub_network_reads_is_checked_and_no_more(builtin: Bundle, bundle_path: Path) -> None:
    small, large = builtin.subnet("w0.25-d0.50-int8-static"), builtin.subnet("w1.00-d1.00-int8-static")
    used = references(builtin.graph(small, "fused"), small.id)
    ends = sorted(reference.start + reference.size for reference in used)
    unused = max(after - before for before, after in itertools.pairwise(ends))
    assert unused > 2 * MOST_OF_A_PIECE
    place = next(end + unused // 2 for end, after in itertools.pairwise(ends) if after - end == unused)
    flip(bundle_path / "weights-int8.bin", place)
    damaged = Bundle.load(bundle_path)
    check(damaged, small)
    with pytest.raises(BundleError, match=r"weights-int8.bin was altered"):
        check(damaged, large)
    for reference in used:
        flip(bundle_path / "weights-int8.bin", reference.start)
        with pytest.raises(BundleError, match=r"weights-int8.bin was altered"):
            check(damaged, small)
        flip(bundle_path / "weights-int8.bin", reference.start)


def check(bundle: Bundle, subnet: ExportedSubnet) -> None:
    bundle.open_graph(subnet, "fused").weights.check()


def flip(path: Path, place: int) -> None:
    """Change the lowest bit of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "golden.json", "answers.json", "weights-int8.pieces", "w1.00-d1.00-int8-static.fused.onnx"],
)
def test_any_altered_file_is_found_before_use(bundle_path: Path, name: str) -> None:
    content = (bundle_path / name).read_bytes()
    (bundle_path / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    bundle = Bundle.load(bundle_path)
    (file,) = [file for file in bundle.files() if file.file == name]
    assert isinstance(file, FileRef)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        bundle.verified(file)


@pytest.mark.parametrize("name", ["../tokenizer.json", "/etc/hostname", "a/b.json", "..", "", ".hidden"])
def test_a_manifest_that_names_a_path_is_refused(alter_manifest: Alter, name: str) -> None:
    path = alter_manifest(tokenizer=FileRef.of(name, b""))
    with pytest.raises(BundleError, match="expected a plain file of the bundle's folder, found"):
        Bundle.load(path)


@pytest.mark.parametrize("offset", [b"93087104", b"23087105"])
def test_a_graph_that_reads_beyond_its_file_is_refused(alter_graph: Alter, offset: bytes) -> None:
    bundle = Bundle.load(alter_graph(b"\x0823087104", b"\x08" + offset))  # of the last tensor in the file
    with pytest.raises(
        BundleError, match=r"weights-int8.bin is too short for the graph of w1.00-d1.00-int8-static; export"
    ):
        bundle.open_graph(bundle.manifest.subnetworks[0], "fused")


@pytest.mark.parametrize("location", [b"../../etc/passwd", b"/etc/hostname///", b"golden.json\0\0\0\0\0"])
def test_a_graph_that_reads_another_file_is_refused(alter_graph: Alter, location: bytes) -> None:
    assert len(location) == len(b"weights-int8.bin")
    bundle = Bundle.load(alter_graph(b"weights-int8.bin", location))
    with pytest.raises(
        BundleError, match=r"the graph of w1.00-d1.00-int8-static reads '.*', no weight file of its bundle; do not"
    ):
        open_session(bundle, bundle.manifest.subnetworks[0], way())


def test_a_missing_flavor_lists_those_there_are(builtin: Bundle) -> None:
    subnet = builtin.manifest.subnetworks[0]
    fused_alone = msgspec.structs.replace(subnet, graphs={"fused": subnet.graphs["fused"]})
    with pytest.raises(BundleError, match=r"w1.00-d1.00-int8-static has no portable graph; choose one of fused"):
        builtin.graph(fused_alone, "portable")
