import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_client import Served, posted, profile_of, who

from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.pieces import Pieces

Serve = Callable[..., Served]
WEIGHTS = "weights-int8.bin"
# Where the first three pieces of the weights end.
ENDS = Pieces.read((BUILTIN / "weights-int8.pieces").read_bytes(), (BUILTIN / WEIGHTS).stat().st_size, WEIGHTS).ends[:3]


def test_files_of_the_bundle_are_served(served: Served, builtin: Bundle) -> None:
    names = {"bundle.json", *(file.file for file in builtin.files())}
    for name in names:
        assert served.ask(f"bundle/{name}").body == (BUILTIN / name).read_bytes()


def test_nothing_else_is_served(serve: Serve, bundle_path: Path, ort_folder: Path) -> None:
    (bundle_path / "secret.txt").write_text("secret")
    (ort_folder / "secret.txt").write_text("secret")
    served = serve(str(bundle_path))
    for name in (
        "bundle/secret.txt",
        "bundle/",
        "bundle",
        "bundle/../secret.txt",
        "bundle/%2e%2e/secret.txt",
        "bundle//bundle.json",
        "bundle/./bundle.json",
        "bundle/bundle.json?x",
        "bundle\\bundle.json",
        "../settings",
        "ort/secret.txt",
        "ort/../settings",
        "js/cli/main.js",
        "js/../../setup.cfg",
        "js/page",
        "records",
        "records?device=x&page=y",
        f"records?{who()}&x",
        "profile",
        f"profile?{who()}",
    ):
        assert served.ask(name).status == 404, name


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("5-9", 5, 10),
        (f"{ENDS[0] - 3}-{ENDS[0] + 3}", ENDS[0] - 3, ENDS[0] + 4),
        (f"{ENDS[0]}-{ENDS[2] - 1}", ENDS[0], ENDS[2]),
    ],
)
def test_a_part_of_the_weights_is_that_part(served: Served, asked: str, start: int, stop: int) -> None:
    content = (BUILTIN / WEIGHTS).read_bytes()
    answer = served.ask(f"bundle/{WEIGHTS}", headers={"Range": f"bytes={asked}"})
    assert (answer.status, answer.body) == (206, content[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(content)}"


def test_the_rest_of_the_weights_ends_where_the_file_does(served: Served) -> None:
    size = (BUILTIN / WEIGHTS).stat().st_size
    for asked in (f"{size - 7}-", f"{size - 7}-{size + 100}"):
        answer = served.ask(f"bundle/{WEIGHTS}", headers={"Range": f"bytes={asked}"})
        assert answer.headers["Content-Range"] == f"bytes {size - 7}-{size - 1}/{size}"
        assert len(answer.body) == 7


def test_a_part_that_is_not_there_is_refused_and_what_is_no_range_is_all(served: Served) -> None:
    size = (BUILTIN / WEIGHTS).stat().st_size
    for asked in (f"bytes={size}-", "bytes=9-5"):
        answer = served.ask(f"bundle/{WEIGHTS}", headers={"Range": asked})
        assert (answer.status, answer.body) == (416, b"")
    for asked in ("bytes=-5", "bytes=0-1,5-9", "lines=1-2", "bytes=" + "9" * 30 + "-"):
        assert len(served.ask(f"bundle/{WEIGHTS}", headers={"Range": asked}).body) == size


def test_a_file_that_was_altered_is_not_served_and_ends_it_with_the_reason(serve: Serve, bundle_path: Path) -> None:
    served = serve(str(bundle_path))
    content = bytearray((bundle_path / WEIGHTS).read_bytes())
    content[ENDS[0] + 1] ^= 1
    (bundle_path / WEIGHTS).write_bytes(content)
    untouched = {"Range": f"bytes=0-{ENDS[0] - 1}"}
    assert served.ask(f"bundle/{WEIGHTS}", headers=untouched).body == content[: ENDS[0]]
    answer = served.ask(f"bundle/{WEIGHTS}", headers={"Range": f"bytes={ENDS[0]}-{ENDS[0] + 9}"})
    assert answer.status == 500
    assert f"{WEIGHTS} was altered" in answer.text
    status, out, said = served.ends()
    assert (status, out) == (1, "")
    assert re.search(rf"^error: .*{WEIGHTS} was altered: expected sha256", said, re.M)


def test_a_graph_that_was_altered_is_not_served(serve: Serve, bundle_path: Path, builtin: Bundle) -> None:
    served = serve(str(bundle_path))
    graph = builtin.manifest.subnetworks[0].graphs["fused"].file
    content = (bundle_path / graph).read_bytes()
    (bundle_path / graph).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert served.ask(f"bundle/{graph}").status == 500
    assert served.ends()[0] == 1


def test_what_a_page_is_asked_for_is_what_the_options_say(serve: Serve, builtin: Bundle) -> None:
    options = ("--quick", "--lengths", "8,16", "--batch-sizes", "1,4", "--threads", "2")
    subnet = builtin.manifest.subnetworks[0].id
    found = serve(*options, "--subnets", subnet).ask("settings").json
    assert found == {
        "bundle": builtin.manifest.name,
        "bundle_sha256": builtin.sha256,
        "quick": True,
        "lengths": [8, 16],
        "batch_sizes": [1, 4],
        "threads": 2,
        "subnets": [subnet],
    }


def test_modules_and_onnxruntime_web_are_kept_by_the_browser_and_nothing_else_is(served: Served) -> None:
    assert "immutable" in served.ask("ort/ort-wasm-simd-threaded.wasm").headers["Cache-Control"]
    assert "immutable" in served.ask("js/errors.js").headers["Cache-Control"]
    for name in ("", "settings", "bundle/bundle.json", f"records?{who()}"):
        assert served.ask(name).headers["Cache-Control"] == "no-store"


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return a posted trial after a change."""
    content = posted()
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[" * 100_000, "Expected object, got array"),
        (b'{"device": 1, "device": 1}', "device"),
        (spoilt(lambda one: one.update(more=1)), "unknown field more"),
        (spoilt(lambda one: one.pop("total")), "missing required field total"),
        (spoilt(lambda one: one["trial"].update(round=11)), "<= 10"),
        (spoilt(lambda one: one["trial"].update(subnet="w9")), "no sub-network 'w9'"),
        (spoilt(lambda one: one["trial"].update(subnet="a\x1b[31m")), "control characters"),
        (spoilt(lambda one: one["trial"]["way"].update(engine="cpu")), "expected a way of wasm"),
        (spoilt(lambda one: one["trial"]["way"].update(threads=65)), "at most 64 threads"),
        (spoilt(lambda one: one["trial"]["result"].update(type="Died")), "Died"),
        (spoilt(lambda one: one["trial"]["result"].update(samples_ms=[[0]])), "> 0.0"),
        (spoilt(lambda one: one["trial"]["result"].update(load_ms="NaN")), "float"),
        (spoilt(lambda one: one["device"].update(runtime="python")), "python"),
        (spoilt(lambda one: one["device"].update(fingerprint="f" * 64)), "the device that this page began with"),
    ],
)
def test_a_posted_trial_is_read_strictly(served: Served, content: Any, reason: str) -> None:
    served.begin()
    answer = served.post(f"records?{who()}", content)
    assert answer.status == 400
    assert answer.text.count("\n") == 1
    assert reason in answer.text
    assert served.begin() == []


def test_a_posted_profile_is_read_strictly(served: Served, builtin: Bundle, tmp_path: Path) -> None:
    served.begin()
    profile = profile_of(builtin)
    for change, reason in (
        ({"schema_version": 4}, "expected schema_version 5, found 4"),
        ({"bundle_sha256": hashlib.sha256().hexdigest()}, "is of another bundle"),
        ({"device": {**profile["device"], "fingerprint": "f" * 64}}, "the device that this page began with"),
        ({"created_at": "2999-01-01T00:00:00+00:00"}, "clock"),
        ({"engine_versions": {"cpu": "1"}}, "expected engines of"),
        ({"more": 1}, "unknown field more"),
    ):
        answer = served.post(f"profile?{who()}", profile | change)
        assert (answer.status, answer.text.count("\n")) == (400, 1)
        assert reason in answer.text
    assert not (tmp_path / "out.json").exists()
    assert served.post(f"profile?{who()}", profile).status == 200
    assert served.ends()[0] == 0
