from pathlib import Path

import pytest

from edgebert.bundle import Bundle
from edgebert.device import default_threads
from edgebert.device_profile import DeviceProfile
from edgebert.errors import ProfileError
from profiles import entry, profile_of_costs, profile_with

FULL, HALF = "w1.00-d1.00-int8", "w0.50-d0.50-int8"


@pytest.fixture
def profile(builtin: Bundle) -> DeviceProfile:
    return profile_of_costs(builtin, {FULL: 12.8, HALF: 6.4})


def test_what_is_saved_is_loaded(profile: DeviceProfile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == profile


def test_a_damaged_profile_names_the_place(profile: DeviceProfile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    content = (tmp_path / "p.json").read_text().replace('"p50_ms": 12.8', '"p50_ms": "fast"')
    (tmp_path / "p.json").write_text(content)
    where = r"p.json: Expected float, got str at \$.subnetworks\[0\].latency\[2\].p50_ms"
    with pytest.raises(ProfileError, match=where):
        DeviceProfile.load(tmp_path / "p.json")


def test_an_unwritable_place_is_named(profile: DeviceProfile, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot write .*none.p.json: No such file or directory"):
        profile.save(tmp_path / "none" / "p.json")


def test_costs_of_any_shape_are_predicted(profile: DeviceProfile) -> None:
    assert profile.predict_ms(FULL, length=128) == pytest.approx(12.8)
    assert profile.predict_ms(HALF, length=32, percentile=95) == pytest.approx(1.6)


def test_a_shape_beyond_the_measured_is_refused(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match=r"1 x 200 tokens is beyond the measured 1 x 128; profile again"):
        profile.predict_ms(FULL, length=200)


def test_an_unknown_sub_network_lists_the_known(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match=rf"no sub-network 'w9' in this profile; choose one of {HALF}, {FULL}"):
        profile.predict_ms("w9", length=16)


@pytest.mark.parametrize("percentile", [0, -1, 99.5, 100])
def test_a_percentile_that_is_not_held_is_refused(profile: DeviceProfile, percentile: float) -> None:
    with pytest.raises(ProfileError, match="expected a percentile above 0 and at most 99"):
        profile.predict_ms(FULL, length=16, percentile=percentile)


def test_entries_can_be_narrowed_to_a_provider_and_threads(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(FULL, 1.0))
    assert profile.narrowed(None, None) == profile.narrowed("CPUExecutionProvider", default_threads()) == profile
    with pytest.raises(ProfileError, match="nothing measured on any provider with 99 threads; profile again"):
        profile.narrowed(None, 99)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"p95_ms": 12.8', '"p95_ms": -5.0', r"Expected float > 0.0 at \$.subnetworks\[0\].latency\[2\].p95_ms"),
        ('"peak_memory_mb": 30.0', '"peak_memory_mb": -1.0', r"Expected float >= 0.0 at .*peak_memory_mb"),
        (f'"threads": {default_threads()}', '"threads": 1000000', r"Expected int <= 1024 at .*threads"),
    ],
)
def test_numbers_that_cannot_have_been_measured_are_refused(
    profile: DeviceProfile, tmp_path: Path, old: str, new: str, message: str
) -> None:
    profile.save(tmp_path / "p.json")
    content = (tmp_path / "p.json").read_text()
    assert old in content
    (tmp_path / "p.json").write_text(content.replace(old, new))
    with pytest.raises(ProfileError, match=message):
        DeviceProfile.load(tmp_path / "p.json")
