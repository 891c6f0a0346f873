import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_trials import TWO

from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device
from edgebert.machine.limits import Limits
from edgebert.measuring import profile_cache
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile, profile_of
from edgebert.subnet import WayFilter
from profiles import entry, profile_with, way

ON_ONE_THREAD = WayFilter(threads=1)


def cached_file(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


def complete_profile(bundle: Bundle, ms_at_128: float = 8.0) -> DeviceProfile:
    return profile_with(bundle, *(entry(subnet_id, ms_at_128, run=way()) for subnet_id in TWO))


def test_a_quick_profile_is_measured_once_and_then_cached(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first = profile_of(bundle_of_two, 1, ON_ONE_THREAD)
    assert "no profile of bundle 'movie-reviews-minilm-l6' on this device yet" in caplog.text
    assert {one.id for one in first.subnetworks} == set(TWO)
    assert profile_of(bundle_of_two, 1, ON_ONE_THREAD) == first


def test_what_is_asked_for_later_is_added_to_the_cached_profile(bundle_of_two: Bundle, fresh_cache: Path) -> None:
    profile_cache.keep(complete_profile(bundle_of_two), bundle_of_two, quick=True)
    again = profile_with(bundle_of_two, entry(TWO[0], 6.0, run=way(2)))
    profile_cache.keep(again, bundle_of_two, quick=True)
    merged = profile_cache.find(bundle_of_two, 1)
    assert merged is not None
    assert {one.key for one in merged.subnetworks} == {(TWO[0], way(1)), (TWO[1], way(1)), (TWO[0], way(2))}


@pytest.mark.parametrize(("quick", "kept_ms"), [(True, 8.0), (False, 6.0)])
def test_a_quick_profile_takes_the_place_of_no_other(
    bundle_of_two: Bundle, fresh_cache: Path, quick: bool, kept_ms: float
) -> None:
    profile_cache.keep(complete_profile(bundle_of_two, 8.0), bundle_of_two, quick=False)
    profile_cache.keep(complete_profile(bundle_of_two, 6.0), bundle_of_two, quick=quick)
    kept = profile_cache.find(bundle_of_two, 1)
    assert kept is not None
    assert {one.latency[-1].p50_ms for one in kept.subnetworks} == {kept_ms}


def test_a_damaged_cache_is_of_no_use(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile_cache.keep(complete_profile(bundle_of_two), bundle_of_two, quick=True)
    cached = cached_file(fresh_cache)
    cached.write_bytes(cached.read_bytes()[:100])
    assert profile_cache.find(bundle_of_two, 1) is None
    assert "measuring again, since the cached profile is of no use" in caplog.text


def without_the_full_network(found: DeviceProfile) -> DeviceProfile:
    return msgspec.structs.replace(found, subnetworks=found.subnetworks[:1])


@pytest.mark.parametrize("settings", [{"lengths": (8,)}, {"requests_per_s": 500.0}, {"emulated": Limits(cpus=1.0)}])
def test_what_does_not_tell_of_this_device_at_full_pace_is_not_cached(
    bundle_of_two: Bundle, fresh_cache: Path, settings: dict[str, Any]
) -> None:
    found = complete_profile(bundle_of_two)
    found = msgspec.structs.replace(found, settings=msgspec.structs.replace(found.settings, **settings))
    profile_cache.keep(found, bundle_of_two, quick=False)
    assert profile_cache.find(bundle_of_two, 1) is None


def test_what_does_not_tell_of_the_whole_bundle_is_not_cached(bundle_of_two: Bundle, fresh_cache: Path) -> None:
    profile_cache.keep(without_the_full_network(complete_profile(bundle_of_two)), bundle_of_two, quick=False)
    assert profile_cache.find(bundle_of_two, 1) is None


def test_an_emulated_profile_says_so(bundle_of_two: Bundle, fresh_cache: Path) -> None:
    found = profile(bundle_of_two, quick=True, emulate=Limits(cpus=1.0, memory_mb=500.0))
    assert found.settings.emulated == Limits(cpus=1.0, memory_mb=500.0)
    assert {one.way.threads for one in found.subnetworks} == {1}
    assert profile_cache.find(bundle_of_two, 1) is None


@pytest.mark.parametrize(
    ("canary_ms", "stands"), [(10.0, True), (10.9, True), (9.2, True), (11.1, False), (9.0, False)]
)
def test_a_profile_of_a_changed_machine_is_used_if_the_canary_takes_as_long(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture, canary_ms: float, stands: bool
) -> None:
    caplog.set_level(logging.INFO, logger="edgebert")  # whose level a command line may have set
    older = msgspec.structs.replace(
        complete_profile(bundle_of_two), device=msgspec.structs.replace(this_device(), os="Linux 1.0")
    )
    assert older.stability.readings[0].canary_ms == 10.0
    profile_cache.keep(older, bundle_of_two, quick=False)

    found = profile_cache.find(bundle_of_two, 1, run_canary=lambda threads: canary_ms)
    assert (found is not None) == stands
    assert "system from Linux 1.0 to" in caplog.text
    if stands:
        assert "a fixed workload takes as long as then: the profile stands" in caplog.text
        assert profile_cache.find(bundle_of_two, 1, run_canary=lambda threads: 99.0) == found
    else:
        assert "measuring again" in caplog.text


def test_another_machines_profile_is_of_no_use(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile_cache.keep(complete_profile(bundle_of_two), bundle_of_two, quick=False)
    other = msgspec.structs.replace(
        complete_profile(bundle_of_two), device=msgspec.structs.replace(this_device(), cpu="another")
    )
    other.save(cached_file(fresh_cache))
    assert profile_cache.find(bundle_of_two, 1) is None
    assert "the cached profile is of another bundle or device" in caplog.text


def test_a_device_without_a_writable_place_is_profiled_all_the_same(
    bundle_of_two: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder can be made under this")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = profile_of(bundle_of_two, 1, WayFilter())
    assert {entry.id for entry in found.subnetworks} == set(bundle_of_two.manifest.qualities)
