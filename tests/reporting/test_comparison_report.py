import msgspec
import pytest

from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.reporting.comparison_report import comparison_of
from profiles import BEST, LEAST, PHONE, entry, in_a_browser, profile_of_costs, profile_with, way


def with_lengths(profile: DeviceProfile, *lengths: int) -> DeviceProfile:
    """Return a profile in which those lengths alone were measured."""
    entries = (
        msgspec.structs.replace(one, latency=tuple(row for row in one.latency if row.length in lengths))
        for one in profile.subnetworks
    )
    settings = msgspec.structs.replace(profile.settings, lengths=lengths)
    return msgspec.structs.replace(profile, settings=settings, subnetworks=tuple(entries))


def test_profiles_of_two_runtimes_stand_side_by_side(builtin: Bundle) -> None:
    here, phone = profile_of_costs(builtin, {BEST: 4.0, LEAST: 1.0}), profile_of_costs(builtin, {LEAST: 8.0})
    found = comparison_of([("here.json", here), ("phone.json", in_a_browser(phone))], builtin)
    assert [(one.name, one.device) for one in found.profiles] == [("here.json", here.device), ("phone.json", PHONE)]
    assert (found.bundle_sha256, found.metric, found.batch_size, found.length) == (builtin.sha256, "accuracy", 1, 128)
    best, least = found.subnetworks
    assert (best.id, best.quality) == (BEST, builtin.manifest.qualities[BEST])
    assert [(one.profile, one.p50_ms, one.peak_memory_mb) for one in best.measured] == [(0, 4.0, 30.0)]
    assert [(one.profile, one.p95_ms, one.peak_memory_mb) for one in least.measured] == [(0, 1.0, 30.0), (1, 8.0, None)]
    assert [one.way.engine for one in least.measured] == ["cpu", "wasm"]


def test_of_several_ways_the_fastest_that_computes_what_it_should_is_shown(builtin: Bundle) -> None:
    entries = (entry(BEST, 4.0, run=way(1)), entry(BEST, 3.0, run=way(2)), entry(BEST, 1.0, numerics_ok=False))
    ((one,),) = (one.measured for one in comparison_of([("a", profile_with(builtin, *entries))]).subnetworks)
    assert (one.way, one.p50_ms, one.numerics_ok) == (way(2), 3.0, True)
    wrong = profile_with(builtin, entry(LEAST, 1.0, numerics_ok=False))
    ((one,),) = (one.measured for one in comparison_of([("a", wrong)]).subnetworks)
    assert (one.numerics_ok, one.drift) == (False, 2.0)


def test_the_shape_is_one_that_all_have(builtin: Bundle) -> None:
    all_of_them = profile_of_costs(builtin, {BEST: 12.8})
    some = with_lengths(all_of_them, 16, 64)
    both = [("a", all_of_them), ("b", some)]
    assert comparison_of(both).length == 64
    assert comparison_of(both, length=16).subnetworks[0].measured[0].p50_ms == pytest.approx(1.6)
    with pytest.raises(
        ProfileError, match=r"a length that all profiles have \(16, 64\), found 128; choose one of these"
    ):
        comparison_of(both, length=128)
    with pytest.raises(ProfileError, match="found 1 x 128 and 1 x 16, 1 x 64; profile again with the same --lengths"):
        comparison_of([("a", with_lengths(all_of_them, 128)), ("b", some)])


def test_profiles_of_two_bundles_are_not_compared(builtin: Bundle) -> None:
    one = profile_of_costs(builtin, {BEST: 4.0})
    other = msgspec.structs.replace(one, bundle_sha256="0" * 64)
    with pytest.raises(ProfileError, match=r"b is of another bundle \(expected bundle \w+, as in a, found 0+\); give"):
        comparison_of([("a", one), ("b", other)])
