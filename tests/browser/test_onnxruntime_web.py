import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from edgebert.browser import onnxruntime_web as module
from edgebert.browser.onnxruntime_web import HASHES, VERSION, onnxruntime_web
from edgebert.errors import EdgeBertError

JS = Path(__file__).parents[2] / "js"
CONTENT = {name: f"// {name}\n".encode() for name in HASHES}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pin small files in place of onnxruntime-web's, and keep them in a cache of this test."""
    for name, content in CONTENT.items():
        monkeypatch.setitem(HASHES, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fake_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], *, status: int = 0) -> Path:
    """Put an npm first on the path that packs these files; it notes each call in the file that is returned."""
    folder.mkdir()
    archive, calls = folder / "packed.tgz", folder / "calls"
    with tarfile.open(archive, "w:gz") as files:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            files.addfile(member, io.BytesIO(data))
    npm = folder / "npm"
    npm.write_text(
        f'#!/bin/sh\necho "$@" >>{calls}\necho "npm says no" >&2\n'
        f'for place; do :; done\n[ {status} = 0 ] && cp {archive} "$place/onnxruntime-web.tgz"\nexit {status}\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return calls


needs_sh = pytest.mark.skipif(os.name != "posix", reason="a script of sh stands in for npm")


def test_a_folder_or_the_package_around_it_is_taken_as_it_is(tmp_path: Path) -> None:
    dist = tmp_path / "package" / "dist"
    dist.mkdir(parents=True)
    for name in HASHES:
        (dist / name).write_bytes(b"any version")
    for folder in (dist, dist.parent):
        assert set(onnxruntime_web(folder)) == set(HASHES)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"expected onnxruntime-web's ort.wasm.min.mjs in .*--ort-web"):
        onnxruntime_web(tmp_path)


@needs_sh
def test_npm_downloads_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_npm(tmp_path / "bin", monkeypatch, CONTENT)
    assert onnxruntime_web() == CONTENT
    assert onnxruntime_web() == CONTENT
    (call,) = calls.read_text().splitlines()
    assert call.startswith(f"pack onnxruntime-web@{VERSION} --ignore-scripts")


@needs_sh
def test_what_was_kept_and_altered_is_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_npm(tmp_path / "bin", monkeypatch, CONTENT)
    onnxruntime_web()
    (kept,) = (tmp_path / "cache").rglob("ort.wasm.min.mjs")
    kept.write_text("altered")
    assert onnxruntime_web() == CONTENT
    assert len(calls.read_text().splitlines()) == 2


@needs_sh
@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (CONTENT, 1, "npm could not download .*: npm says no; "),
        ({}, 0, "give another with --ort-web"),
        (CONTENT | {"ort.wasm.min.mjs": b"altered"}, 0, "is not what was pinned: expected sha256"),
    ],
)
def test_what_npm_gives_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], status: int, reason: str
) -> None:
    fake_npm(tmp_path / "bin", monkeypatch, content, status=status)
    with pytest.raises(EdgeBertError, match=reason):
        onnxruntime_web()
    assert not list((tmp_path / "cache").rglob("*.mjs"))


def test_without_npm_and_without_a_folder_a_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(EdgeBertError, match=r"there is no npm here to download it; install npm, or .*--ort-web"):
        onnxruntime_web()


@pytest.mark.skipif(not (JS / "package-lock.json").is_file(), reason="no checkout")
def test_the_version_is_that_of_the_package_for_npm(request: pytest.FixtureRequest) -> None:
    locked = json.loads((JS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert locked["node_modules/onnxruntime-web"]["version"] == VERSION
    dist = JS / "node_modules" / "onnxruntime-web" / "dist"
    if dist.is_dir():
        source = Path(module.__file__).read_text(encoding="utf-8")
        pinned = dict(re.findall(r'^    (?:MODULE|"([^"]+)"): "([0-9a-f]{64})"', source, re.M))
        pinned["ort.wasm.min.mjs"] = pinned.pop("")
        assert pinned == {name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in HASHES}
