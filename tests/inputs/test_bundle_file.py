import hashlib
import os
import shutil
from pathlib import Path

import pytest

import edgebert
from edgebert.errors import BundleError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.bundle_file import MANIFEST, MOST_BYTES, WeightParts, read_checked, read_whole
from edgebert.inputs.pieces import Pieces

_PIECE_BYTES = 1000


def answer(path: Path) -> object:
    with edgebert.load(path, subnet="w0.25-d0.50-int8-static", threads=1) as model:
        return model("a great film")


def linked_to(target: Path, folder: Path, *, renamed: bool) -> Path:
    """Return a folder of links to copies of all files of the built-in bundle, perhaps under other names."""
    target.mkdir(parents=True)
    folder.mkdir(parents=True)
    for number, file in enumerate(sorted(BUILTIN.iterdir())):
        copy = target / (f"{number:064x}" if renamed else file.name)
        shutil.copy(file, copy)
        (folder / file.name).symlink_to(os.path.relpath(copy, folder) if renamed else copy)
    return folder


def test_a_bundle_in_hugging_faces_cache_answers(tmp_path: Path) -> None:
    repository = tmp_path / "models--who--what"
    path = linked_to(repository / "blobs", repository / "snapshots" / "0123", renamed=True)
    assert answer(path) == answer(BUILTIN)


def test_a_bundle_that_is_installed_as_links_answers(tmp_path: Path) -> None:
    path = linked_to(tmp_path / "packages" / "edgebert", tmp_path / "environment", renamed=False)
    assert answer(path) == answer(BUILTIN)
    (tmp_path / "folder").symlink_to(path)
    assert answer(tmp_path / "folder") == answer(BUILTIN)


def test_a_bundle_in_a_volume_of_kubernetes_answers(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.mkdir()
    shutil.copytree(BUILTIN, path / "..2026_11_25")
    (path / "..data").symlink_to("..2026_11_25")
    for file in BUILTIN.iterdir():
        (path / file.name).symlink_to(f"..data/{file.name}")
    assert answer(path) == answer(BUILTIN)


def test_what_a_cache_links_to_is_checked_as_any_file(tmp_path: Path) -> None:
    path = linked_to(tmp_path / "blobs", tmp_path / "snapshots" / "0123", renamed=True)
    weights = (path / "weights-int8.bin").resolve()
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(BundleError, match=f"{weights.name} was altered"):
        answer(path)


@pytest.mark.parametrize("name", ["weights-int8.bin", "tokenizer.json", "w1.00-d1.00-int8-static.fused.onnx"])
def test_a_link_out_of_a_bundle_is_refused(bundle_path: Path, tmp_path: Path, name: str) -> None:
    (bundle_path / name).rename(tmp_path / name)
    (bundle_path / name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match=f"{name} is a link out of the bundle, to .*; copy the bundle with what its"):
        Bundle.load(bundle_path)


@pytest.mark.parametrize("target", ["tokenizer.json", "nowhere"])
def test_a_link_that_leads_nowhere_is_refused(bundle_path: Path, target: str) -> None:
    (bundle_path / "tokenizer.json").unlink()
    (bundle_path / "tokenizer.json").symlink_to(target)
    with pytest.raises(BundleError, match=r"tokenizer.json( is missing|: Too many levels of symbolic links); copy"):
        Bundle.load(bundle_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_what_is_no_file_is_refused_and_not_waited_for(bundle_path: Path) -> None:
    (bundle_path / "tokenizer.json").unlink()
    os.mkfifo(bundle_path / "tokenizer.json")
    with pytest.raises(BundleError, match=r"tokenizer.json is no plain file; copy the bundle again"):
        Bundle.load(bundle_path)


@pytest.mark.parametrize("name", [MANIFEST, "golden.json"])
def test_a_file_of_any_size_is_refused_before_it_is_read(bundle_path: Path, name: str) -> None:
    os.truncate(bundle_path / name, 1 << 40)  # with holes: it takes no room
    with pytest.raises(BundleError, match=rf"{name}: expected .* bytes, found {1 << 40}; "):
        Bundle.load(bundle_path)
    with pytest.raises(BundleError, match=f"expected at most {MOST_BYTES} bytes, found {1 << 40}"):
        read_whole(bundle_path / name)


def test_content_is_returned_if_its_hash_is_right(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a")
    digest = hashlib.sha256(b"a").hexdigest()
    assert read_checked(path, digest) == b"a"
    path.write_bytes(b"b")
    with pytest.raises(BundleError, match=rf"a was altered: expected sha256 {digest[:12]}..., found \w+..."):
        read_checked(path, digest)


def parts(path: Path) -> WeightParts:
    """Return the first and the third of the three pieces of a new weight file."""
    content = [bytes([number]) * _PIECE_BYTES for number in range(3)]
    path.write_bytes(b"".join(content))
    ends = [_PIECE_BYTES, 2 * _PIECE_BYTES, 3 * _PIECE_BYTES]
    return WeightParts(path, Pieces(ends, [hashlib.sha256(piece).digest() for piece in content]), [0, 2])


def overwrite(path: Path, place: int, content: bytes, mtime_s: int) -> None:
    """Write into a file as at a time of its own: clocks of file systems may be coarse."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)
    os.utime(path, (mtime_s, mtime_s))


def test_a_weight_file_is_checked_again_when_it_was_written_to(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    opened = parts(path)
    opened.check()
    opened.check_unchanged()
    overwrite(path, _PIECE_BYTES, b"x", mtime_s=1)  # a piece that is not read
    opened.check_unchanged()
    overwrite(path, 0, b"x", mtime_s=2)
    for _ in range(2):
        with pytest.raises(BundleError, match=r"weights.bin was altered: expected sha256"):
            opened.check_unchanged()
    overwrite(path, 0, b"\0", mtime_s=3)
    opened.check_unchanged()
    os.truncate(path, 2 * _PIECE_BYTES)
    with pytest.raises(BundleError, match=r"weights.bin was altered"):
        opened.check_unchanged()


def test_a_file_in_its_place_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    opened = parts(path)
    opened.check_in_place()
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    # Whoever has the old one goes on with it, but who opens it by its name has another.
    opened.check()
    opened.check_unchanged()
    with pytest.raises(BundleError, match=r"weights.bin was replaced while it was loaded; load it again"):
        opened.check_in_place()
    path.unlink()
    with pytest.raises(BundleError, match="was replaced"):
        opened.check_in_place()


def test_a_file_is_closed_when_nobody_uses_it(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    opened = parts(tmp_path / "weights.bin")
    opened.check()
    del opened
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before
