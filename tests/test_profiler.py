import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert import profiler
from edgebert.bundle import Bundle
from edgebert.device import default_threads, this_device
from edgebert.device_profile import DeviceProfile
from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.profiler import check_profile, median_interval, profile, profile_of

Alter = Callable[..., Path]

TWO = ("w0.25-d0.50-int8", "w1.00-d1.00-int8")


@pytest.fixture(scope="module")
def found(builtin: Bundle) -> DeviceProfile:
    return profile(builtin, lengths=[8, 16], batch_sizes=[1, 2], subnets=TWO, quick=True)


def test_a_profile_says_what_where_and_how(found: DeviceProfile, builtin: Bundle) -> None:
    assert [entry.id for entry in found.subnetworks] == list(TWO)
    assert found.bundle_sha256 == builtin.sha256
    assert found.device == this_device()
    assert found.settings.threads == default_threads()
    for entry in found.subnetworks:
        assert entry.numerics_ok
        assert [(row.batch_size, row.length) for row in entry.latency] == [(1, 8), (1, 16), (2, 8), (2, 16)]
        for row in entry.latency:
            assert row.runs >= found.settings.min_runs
            assert 0 < row.p50_ms <= row.p90_ms <= row.p95_ms <= row.p99_ms
            assert row.p50_ci95_ms[0] <= row.p50_ms <= row.p50_ci95_ms[1]


def test_a_real_profile_is_saved_and_loaded(found: DeviceProfile, tmp_path: Path) -> None:
    found.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == found


def test_progress_is_told_to_the_end(builtin: Bundle) -> None:
    heard: list[tuple[int, int, str]] = []
    profile(builtin, lengths=[8], subnets=TWO, quick=True, on_progress=lambda *step: heard.append(step))
    assert heard == [(1, 2, TWO[0]), (2, 2, TWO[1])]


def test_a_quick_profile_is_measured_once_and_then_cached(builtin: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        first = profile_of(builtin, threads=1)
    assert "no profile of bundle 'movie-reviews-minilm-l6' on this device yet" in caplog.text
    assert {entry.id for entry in first.subnetworks} == {subnet.id for subnet in builtin.manifest.subnetworks}
    assert profile_of(builtin, threads=1) == first


def test_a_damaged_cache_is_measured_again(builtin: Bundle, own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    profile_of(builtin, threads=1)
    (cached,) = own_cache.glob("edgebert/profiles/*-t1-b1.json")
    cached.write_bytes(cached.read_bytes()[:100])
    assert profile_of(builtin, threads=1).bundle_sha256 == builtin.sha256
    assert "measuring again, since the cached profile is of no use" in caplog.text


def test_a_partial_profile_is_not_cached(found: DeviceProfile, own_cache: Path) -> None:
    assert not list(own_cache.glob(f"edgebert/profiles/*-t{found.settings.threads}-b2.json"))


def test_another_bundles_profile_is_refused(found: DeviceProfile, alter_manifest: Alter) -> None:
    other = Bundle.load(alter_manifest(name="other"))
    with pytest.raises(
        ProfileError, match=r"the profile is of another bundle \(expected bundle .*\); profile this one"
    ):
        check_profile(found, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengths": [1]}, "expected a length of 2 to 128, found 1"),
        ({"lengths": [16, 129]}, "expected a length of 2 to 128, found 129"),
        ({"batch_sizes": [0]}, "expected a batch size of 1 to 1024, found 0"),
        ({"threads": 0}, "expected a thread count of 1 to 1024, found 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(builtin: Bundle, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        profile(builtin, **wrong)  # type: ignore[arg-type]


def test_unknown_names_are_refused(builtin: Bundle) -> None:
    with pytest.raises(BundleError, match="no sub-network 'w9'"):
        profile(builtin, subnets=["w9"])
    with pytest.raises(EdgeBertError, match="no provider 'NPU' here"):
        profile(builtin, provider="NPU")


def test_a_damaged_bundle_is_named(bundle_path: Path) -> None:
    with (bundle_path / "weights-int8.bin").open("r+b") as file:
        file.write(b"\x55\x55")
    with pytest.raises(BundleError, match=r"weights-int8.bin was altered: expected sha256"):
        profile(bundle_path, subnets=TWO, lengths=[8], quick=True)


def test_a_sub_network_whose_process_dies_is_left_out(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A device without the memory for the full network still gets a profile of the others."""
    measure_apart = profiler._measure_apart

    def killed(task: profiler.Task) -> profiler.Measurement:
        if task.subnet == TWO[1]:
            raise profiler._ProcessDiedError("its process ended with status -9 (no message)")
        return measure_apart(task)

    monkeypatch.setattr(profiler, "_measure_apart", killed)
    found = profile(builtin, subnets=TWO, lengths=[8], quick=True)
    assert [entry.id for entry in found.subnetworks] == [TWO[0]]
    assert f"{TWO[1]} is left out: its process ended with status -9" in caplog.text
    with pytest.raises(ProfileError, match="no sub-network could be measured here"):
        profile(builtin, subnets=TWO[1:], lengths=[8], quick=True)


def test_the_interval_of_the_median_holds_it() -> None:
    samples = [float(value) for value in range(101)]
    low, high = median_interval(samples)
    assert 35 < low < 50 < high < 65
    assert median_interval([3.0]) == (3.0, 3.0)
