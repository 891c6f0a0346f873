"""What the tests of the page share: servers that run, and something in place of onnxruntime-web."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page_client import Served

from edgebert.browser.onnxruntime_web import HASHES

Serve = Callable[..., Served]


@pytest.fixture
def ort_folder(tmp_path: Path) -> Path:
    """Stands in for onnxruntime-web, which is large: nothing here runs it."""
    folder = tmp_path / "ort"
    folder.mkdir()
    for name in HASHES:
        (folder / name).write_text(f"// {name}\n")
    return folder


@pytest.fixture
def serve(tmp_path: Path, ort_folder: Path) -> Iterator[Serve]:
    """Start servers, each in a process of its own with one cache, and end those that are left."""
    started: list[Served] = []
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start(*options: str) -> Served:
        command = [sys.executable, "-m", "edgebert", "profile", "--browser", "--ort-web", str(ort_folder), *options]
        pipe = subprocess.PIPE
        one = Served(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment))
        started.append(one)
        one.read_address()
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def served(serve: Serve, tmp_path: Path) -> Served:
    """A server of the built-in bundle that saves to out.json."""
    return serve("--out", str(tmp_path / "out.json"))
