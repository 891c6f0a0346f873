import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgebert.browser.page_files import kind_of, page_files

ROOT = Path(__file__).parents[2]


def test_the_page_and_what_it_runs_are_there_and_what_is_of_node_is_not() -> None:
    found = page_files()
    assert {"page/index.html", "page/main.js", "page/page.css", "measuring/profiler.js", "engines/worker.js"} < set(
        found
    )
    assert not [
        name for name in found if name.startswith("cli/") or not name.endswith((".html", ".css", ".js", ".svg"))
    ]


def test_files_have_the_types_that_browsers_insist_on() -> None:
    assert kind_of("a/b.mjs") == "text/javascript; charset=utf-8"
    assert kind_of("a.wasm") == "application/wasm"
    assert kind_of("weights") == "application/octet-stream"


@pytest.mark.full
def test_the_wheel_brings_the_modules_along(tmp_path: Path) -> None:
    pytest.importorskip("build")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    # A copy, since building writes into the folder.
    copied = tmp_path / "copy"
    copied.mkdir()
    for name in (
        "edgebert",
        "exporters",
        "js/src",
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
    ):
        target = copied / name
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", str(ROOT / name), str(target)], check=True)
    done = subprocess.run([*command, str(copied)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.removeprefix("edgebert/javascript/") for name in zipfile.ZipFile(wheel).namelist()}
    assert set(page_files()) <= names
