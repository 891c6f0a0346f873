"""Latencies of architectures: real exports and real profiles of a few that are tiny."""

import json
from pathlib import Path

import pytest

from edgebert.elastic.bort import latencies
from edgebert.elastic.bort.architecture import Architecture, SharedSizes
from edgebert.elastic.bort.latencies import Conditions, Host, measure_latencies, read_latencies, write_checkpoint
from edgebert.errors import ProfileError
from edgebert.exporters.build import export
from edgebert.measuring.device_profile import DeviceProfile

QUICK = Conditions(length=10, threads=1, rounds=2)
SOME = [Architecture(1, 2, 16, 8), Architecture(3, 2, 16, 24), Architecture(2, 4, 16, 8)]


def test_what_is_measured_is_kept_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, profiled = tmp_path / "latencies.json", []

    def profile(bundle: object, **options: object) -> DeviceProfile:
        profiled.append(bundle)
        if len(profiled) == 4:  # the second round of the second pair
            raise KeyboardInterrupt
        return real(bundle, **options)  # type: ignore[arg-type]

    real = latencies.profile
    monkeypatch.setattr(latencies, "profile", profile)
    with pytest.raises(KeyboardInterrupt):
        measure_latencies(SOME, QUICK, path)
    assert [len(one.rounds_ms) for one in read_latencies(path, QUICK).measured] == [2, 2, 1]  # type: ignore[union-attr]
    assert set(read_latencies(path, QUICK).by_architecture) == set(SOME[:2])  # type: ignore[union-attr]
    more = [*SOME, Architecture(1, 4, 16, 8)]  # it lacks both rounds, and the others of its bundle one
    found = measure_latencies(more, QUICK, path)
    assert len(profiled) == 6
    assert set(found.by_architecture) == set(more)
    assert all(ms > 0 for ms in found.by_architecture.values())
    assert [entry.name for entry in tmp_path.iterdir()] == ["latencies.json"]
    assert measure_latencies(more, QUICK, path) == found
    assert len(profiled) == 6


def test_one_checkpoint_holds_all_architectures_of_a_pair(tmp_path: Path) -> None:
    write_checkpoint(SOME[:2], 10, tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", tmp_path / "bundle")
    sizes = SharedSizes(vocabulary=1000, positions=11, types=1, labels=2)
    for one, subnet in zip(SOME, bundle.manifest.subnetworks, strict=False):
        assert subnet.id == f"{one}-int8"
        assert (len(subnet.layers), subnet.heads[0], subnet.ffn[0]) == (one.depth, one.heads, one.ffn)
        assert subnet.parameters == one.parameters(sizes)


def test_latencies_of_other_conditions_or_devices_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latencies.json"
    measure_latencies(SOME[:1], Conditions(length=10, threads=1, rounds=1), path)
    with pytest.raises(
        ProfileError, match=r"measured under other conditions: expected .*\"length\":12.*; give another"
    ):
        measure_latencies(SOME[:1], Conditions(length=12, threads=1, rounds=1), path)
    content = json.loads(path.read_text())
    content["device"]["cpu"] = "another"
    path.write_text(json.dumps(content))
    assert set(measure_latencies(SOME[:1], Conditions(length=10, threads=1, rounds=1), path).by_architecture) == {
        SOME[0]
    }
    with pytest.raises(ProfileError, match=r"latencies.json: expected another, .* found .*; give another file"):
        measure_latencies(SOME[:2], Conditions(length=10, threads=1, rounds=1), path)


def test_another_machine_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def profile_on(host: str, bundle: object, arguments: list[str], *, command: str) -> DeviceProfile:
        asked.append((host, *arguments, command))
        return latencies.profile(bundle, lengths=[10], threads=1, quick=True)  # type: ignore[arg-type]

    monkeypatch.setattr(latencies, "profile_on", profile_on)
    measure_latencies(
        SOME[:1], Conditions(length=10, threads=1, rounds=1), tmp_path / "there.json", host=Host("me@device")
    )
    assert asked == [("me@device", "--lengths", "10", "--threads", "1", "--quick", "edgebert")]


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot write .*latencies.json: No such file or directory"):
        measure_latencies(SOME, QUICK, tmp_path / "none" / "latencies.json")
