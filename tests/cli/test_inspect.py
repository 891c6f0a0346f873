import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.records import encode
from profiles import BEST

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
    header, _, row, other, *_ = edgebert("inspect", str(path)).out.splitlines()[4:]
    assert header.split()[5:7] == ["micro_f1", "average_precision"]
    assert "0.123" in row
    assert other.split()[-5:-3] == ["-", "-"]


def test_a_bundle_without_quality_says_how_to_know_it(
    edgebert: Edgebert, builtin: Bundle, alter_manifest: Alter
) -> None:
    unknown = tuple(msgspec.structs.replace(one, quality=None) for one in builtin.manifest.subnetworks)
    text = edgebert("inspect", str(alter_manifest(subnetworks=unknown))).out
    assert "no quality is known; export with --eval or --texts" in text


def test_labels_of_a_file_move_no_cursor(edgebert: Edgebert, alter_manifest: Alter) -> None:
    path = alter_manifest(labels=("bad\x1b[2J", "good"))
    text = edgebert("inspect", str(path)).out
    assert "labels bad\\u001b[2J, good" in text
    printed = edgebert("inspect", str(path), "--json").out
    assert "\x1b" not in printed
    assert json.loads(printed)["labels"] == ["bad\x1b[2J", "good"]


def test_a_profile_of_another_bundle_is_shown_without_qualities(
    edgebert: Edgebert, profile_file: str, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(DeviceProfile.load(profile_file), bundle_sha256="0" * 64)
    other.save(tmp_path / "other.json")
    (row,) = [line for line in edgebert("inspect", str(tmp_path / "other.json")).out.splitlines() if BEST in line]
    assert " - " in row
    assert "*" not in row


def test_nothing_to_inspect(edgebert: Edgebert) -> None:
    message = edgebert("inspect", "nowhere").error(1)
    assert "nothing to inspect at nowhere: expected the folder of a bundle or a checkpoint, or the file of a" in message
