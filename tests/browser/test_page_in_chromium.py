"""The whole of it: a real browser opens the page, measures by onnxruntime-web, and the profile is saved."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page_client import Served
from waiting import soon

from edgebert.inputs.bundle import Bundle
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring.device_profile import DeviceProfile
from profiles import LEAST

Serve = Callable[..., Served]
Browse = Callable[[Served], "subprocess.Popen[bytes]"]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ORT_WEB = Path(__file__).parents[2] / "js" / "node_modules" / "onnxruntime-web"

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.skipif(not ORT_WEB.is_dir(), reason="`make test-web` installs onnxruntime-web"),
]


@pytest.fixture
def ort_folder() -> Path:
    """The real one."""
    return ORT_WEB


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Browse]:
    """Open the page in browsers without windows, each as if it was never used before."""
    opened: list[subprocess.Popen[bytes]] = []
    # Its own sandbox does not work for root in a container.
    as_root = ["--no-sandbox"] if os.getuid() == 0 else []

    def open_page(served: Served) -> "subprocess.Popen[bytes]":
        options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--no-first-run"]
        own = f"--user-data-dir={tmp_path / f'browser-{len(opened)}'}"
        url = f"http://127.0.0.1:{served.port}/{served.token}/"
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([str(CHROMIUM), *options, *as_root, own, url], stdout=quiet, stderr=quiet)
        opened.append(process)
        return process

    yield open_page
    for process in opened:
        process.terminate()
        process.wait()


def test_a_browser_measures_itself(serve: Serve, browse: Browse, builtin: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    served = serve("--out", str(out), "--quick", "--subnets", LEAST, "--lengths", "8,16", "--threads", "1")
    browse(served)
    status, table, said = served.ends()
    assert status == 0, said
    assert LEAST in table
    profile = DeviceProfile.load(out)
    profile.check_fits(builtin)
    (entry,) = profile.subnetworks
    assert (entry.id, entry.way.engine, entry.way.threads, entry.numerics_ok) == (LEAST, "wasm", 1, True)
    assert profile.settings.lengths == (8, 16)
    assert isinstance(profile.device, JavaScriptDevice)
    # So the headers were right.
    assert profile.device.isolated


def test_a_browser_that_was_closed_goes_on_in_the_next_one(serve: Serve, browse: Browse, tmp_path: Path) -> None:
    options = ("--subnets", LEAST, "--lengths", "8", "--threads", "1", "--out", str(tmp_path / "out.json"))
    folder = tmp_path / "cache" / "edgebert" / "profiles"
    served = serve(*options)
    first = browse(served)
    assert soon(lambda: any(b'"round":1,' in path.read_bytes() for path in folder.glob("*.jsonl")))
    first.kill()
    first.wait()
    served.interrupt()

    # A mark, to be found again in the profile.
    (journal,) = folder.glob("*.jsonl")
    lines = [json.loads(line) for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    next(one for one in lines if one["round"] == 1)["result"]["peak_memory_mb"] = 99_999.0
    journal.write_text("".join(json.dumps(one) + "\n" for one in lines))
    served = serve(*options)
    browse(served)
    assert served.ends()[0] == 0
    assert max(entry.memory_bound_mb for entry in DeviceProfile.load(tmp_path / "out.json").subnetworks) == 99_999.0
