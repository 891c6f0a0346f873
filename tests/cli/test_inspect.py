import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.records import encode
from profiles import BEST, LEAST, in_a_browser, profile_of_costs

Edgebert = Callable[..., Any]
Alter = Callable[..., Path]


def test_the_builtin_bundle_is_inspected(edgebert: Edgebert, builtin: Bundle) -> None:
    text = edgebert("inspect").out
    assert "(text-classification; labels negative, positive)" in text
    for subnet in builtin.manifest.subnetworks:
        assert f"\n{subnet.id} " in text
    assert "accuracy is that on movie-reviews/dev.tsv (993 samples)" in text
    assert edgebert("inspect", "--json").out.encode() == encode(builtin.manifest)


def test_the_same_path_may_be_spelt_as_a_bundle(edgebert: Edgebert, bundle_path: Path) -> None:
    assert edgebert("inspect", "--bundle", str(bundle_path)) == edgebert("inspect", str(bundle_path))


def test_every_metric_of_a_task_is_shown(edgebert: Edgebert, builtin: Bundle, alter_manifest: Alter) -> None:
    first, *rest = builtin.manifest.subnetworks
    assert first.quality is not None
    quality = msgspec.structs.replace(first.quality, metric="micro_f1", also={"average_precision": 0.123})
    known = msgspec.structs.replace(first, quality=quality)
    others = [msgspec.structs.replace(one, quality=None) for one in rest]
    path = alter_manifest(task="multi-label-text-classification", subnetworks=(known, *others))
    header, _, row, other, *_ = edgebert("inspect", str(path)).out.splitlines()[5:]
    assert header.split()[5:7] == ["micro_f1", "average_precision"]
    assert "0.123" in row
    assert other.split()[-5:-3] == ["-", "-"]


def test_a_bundle_without_quality_says_how_to_know_it(
    edgebert: Edgebert, builtin: Bundle, alter_manifest: Alter
) -> None:
    unknown = tuple(msgspec.structs.replace(one, quality=None) for one in builtin.manifest.subnetworks)
    text = edgebert("inspect", str(alter_manifest(subnetworks=unknown))).out
    assert "no quality is known; export with --eval or --texts" in text


@pytest.mark.parametrize("label", ["bad\x1b[2J", "bad\nworse", "bad\tworse", "bad\u202e"])
def test_labels_that_move_a_cursor_or_break_a_line_are_refused(
    edgebert: Edgebert, alter_manifest: Alter, label: str
) -> None:
    message = edgebert("inspect", str(alter_manifest(labels=(label, "good")))).error(1)
    assert "bundle.json: Expected text without control characters at $.labels[0]" in message


def test_of_many_labels_the_first_are_shown_and_all_are_in_the_json(edgebert: Edgebert, alter_manifest: Alter) -> None:
    labels = tuple(f"a rather long name of label {number}" for number in range(2000))
    path = str(alter_manifest(labels=labels))
    assert " more)" in edgebert("inspect", path).out.splitlines()[0]
    assert len(edgebert("inspect", path).out.splitlines()[0]) < 500
    assert json.loads(edgebert("inspect", path, "--json").out)["labels"] == list(labels)


def test_a_profile_of_another_bundle_is_shown_without_qualities(
    edgebert: Edgebert, profile_file: str, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(DeviceProfile.load(profile_file), bundle_sha256="0" * 64)
    other.save(tmp_path / "other.json")
    (row,) = [line for line in edgebert("inspect", str(tmp_path / "other.json")).out.splitlines() if BEST in line]
    assert " - " in row
    assert "*" not in row


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("nowhere", "found nothing; check the path"),
        (".", "found a folder with neither bundle.json nor config.json; check the path"),
        ("pipe", "found neither a file nor a folder; check the path"),
        ("bundle/bundle.json", "found a file of a folder; give "),
        ("bundle/weights-int8.bin", "found a file of a folder; give "),
    ],
)
def test_what_cannot_be_inspected_is_told_apart(
    edgebert: Edgebert, bundle_path: Path, tmp_path: Path, name: str, found: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    message = edgebert("inspect", str(tmp_path / name)).error(1)
    assert f"expected the folder of a bundle or a checkpoint, or the file of a profile, {found}" in message


def test_what_is_no_profile_is_told_what_was_expected(edgebert: Edgebert, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[1]")
    message = edgebert("inspect", str(tmp_path / "p.json")).error(1)
    assert (
        "p.json: Expected object, got array; make it again or restore it, if it is a profile; expected the" in message
    )


def test_a_profile_says_whose_it_is(edgebert: Edgebert, profile_file: str, tmp_path: Path) -> None:
    assert "on this device" in edgebert("inspect", profile_file).out
    profile = DeviceProfile.load(profile_file)
    other = msgspec.structs.replace(profile, device=msgspec.structs.replace(profile.device, cpu="another"))
    other.save(tmp_path / "other.json")
    assert "on another device: its times may not hold here" in edgebert("inspect", str(tmp_path / "other.json")).out


@pytest.fixture
def phone_file(builtin: Bundle, tmp_path: Path) -> str:
    """The same as `profile_file`, measured in the browser of a phone."""
    in_a_browser(profile_of_costs(builtin, {BEST: 90.0, LEAST: 25.0})).save(tmp_path / "phone.json")
    return str(tmp_path / "phone.json")


def test_a_browsers_profile_is_shown(edgebert: Edgebert, phone_file: str) -> None:
    text = edgebert("inspect", phone_file).out
    assert text.startswith("Chrome 156 on Android, Pixel 8, 8 cores, 8 GB, arm valhall (isolated, timer step 0.005 ms)")
    assert "by edgebert in JavaScript on another device" in text
    (row,) = [line for line in text.splitlines() if line.startswith(BEST)]
    assert "wasm on CPU, fused, 1 thread" in row
    assert row.split()[-3:] == ["-", "0", "*"]


def test_profiles_are_shown_side_by_side(edgebert: Edgebert, profile_file: str, phone_file: str) -> None:
    lines = edgebert("inspect", profile_file, phone_file).out.splitlines()
    assert lines[0].startswith(f"1  {profile_file}: ")
    assert "by edgebert in Python, ONNX Runtime 1.0" in lines[0]
    assert lines[1].startswith(f"2  {phone_file}: Chrome 156 on Android, Pixel 8, ")
    assert "(isolated, timer step 0.005 ms); measured 2026-01-01T00:00:00+00:00 by edgebert in JavaScript, " in lines[1]
    assert "batch 1, 128 tokens" in lines[3]
    here, phone = (line.split() for line in lines[7:9])
    assert (here[0], here[-5:]) == (BEST, ["40.00", "/", "40.00", "30", "0"])
    assert phone == ["2", "wasm", "on", "CPU,", "fused,", "1", "thread", "90.00", "/", "90.00", "-", "0"]


def test_profiles_side_by_side_are_one_json_object(edgebert: Edgebert, profile_file: str, phone_file: str) -> None:
    found = json.loads(edgebert("inspect", profile_file, phone_file, "--length", "16", "--json").out)
    assert [one["device"]["runtime"] for one in found["profiles"]] == ["python", "javascript"]
    assert found["length"] == 16
    assert [one["peak_memory_mb"] for one in found["subnetworks"][0]["measured"]] == [30.0, None]


def test_a_bundle_before_profiles_tells_their_qualities(
    edgebert: Edgebert, builtin: Bundle, profile_file: str, phone_file: str, alter_manifest: Alter
) -> None:
    path = str(alter_manifest(name="another"))
    assert "is of another bundle (expected" in edgebert("inspect", path, profile_file).error(1)
    both = edgebert("inspect", str(builtin.path), profile_file, phone_file).out
    assert both == edgebert("inspect", profile_file, phone_file).out
    assert f"{builtin.manifest.qualities[BEST]:.3f}" in both
    assert edgebert("inspect", str(builtin.path), phone_file).out == edgebert("inspect", phone_file).out


def test_what_is_no_profile_is_not_shown_beside_one(edgebert: Edgebert, profile_file: str, tmp_path: Path) -> None:
    assert "cannot read " in edgebert("inspect", profile_file, str(tmp_path / "nowhere")).error(1)
    assert "cannot read " in edgebert("inspect", str(tmp_path), profile_file).error(1)
    for alone in ([profile_file], []):
        message = edgebert("inspect", *alone, "--length", "16").usage_error("inspect")
        assert "expected several profiles to compare by --length, found one path" in message


@pytest.mark.parametrize("verb", [["select"], ["predict", "a great film"]])
def test_what_chooses_refuses_a_browsers_profile(edgebert: Edgebert, phone_file: str, verb: list[str]) -> None:
    message = edgebert(*verb, "--latency-ms", "100", "--profile", phone_file).error(1)
    assert message.startswith(f"error: {phone_file}: expected a profile measured by edgebert in Python, found one of ")
    assert message.endswith("; measure here with `edgebert profile`, and see this one with `edgebert inspect`")
