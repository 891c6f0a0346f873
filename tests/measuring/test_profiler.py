import contextlib
import logging
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine import canary
from edgebert.machine.device import default_threads, this_device, thread_counts
from edgebert.machine.limits import Limits
from edgebert.measuring import profile_cache, profiler
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import check_profile, median_interval, profile, profile_of
from edgebert.measuring.trial import Numerics
from edgebert.subnet import WayFilter
from profiles import way

Alter = Callable[..., Path]

TWO = ("w0.25-d0.50-int8", "w1.00-d1.00-int8")
ONE_WAY = way()
ON_ONE_THREAD = WayFilter(threads=1)


@pytest.fixture(scope="module")
def found(builtin: Bundle) -> DeviceProfile:
    return profile(builtin, lengths=[8, 16], batch_sizes=[1, 2], subnets=TWO, quick=True)


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which no other test has left anything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle_of_two(builtin: Bundle, alter_manifest: Alter) -> Bundle:
    """The built-in bundle with two sub-networks, which takes less time."""
    return Bundle.load(alter_manifest(subnetworks=tuple(builtin.subnet(name) for name in TWO)))


def test_a_profile_says_what_where_and_how(found: DeviceProfile, builtin: Bundle) -> None:
    assert [entry.id for entry in found.subnetworks] == list(TWO)
    assert found.bundle_sha256 == builtin.sha256
    assert found.device == this_device()
    assert {entry.way.threads for entry in found.subnetworks} == {default_threads()}
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


def test_a_quick_profile_is_measured_once_and_then_cached(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first = profile_of(bundle_of_two, asked=ON_ONE_THREAD)
    assert "no profile of bundle 'movie-reviews-minilm-l6' on this device yet" in caplog.text
    assert {entry.id for entry in first.subnetworks} == set(TWO)
    assert profile_of(bundle_of_two, asked=ON_ONE_THREAD) == first


def test_a_damaged_cache_is_measured_again(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile_of(bundle_of_two, asked=ON_ONE_THREAD)
    cached = cached_profile(fresh_cache)
    cached.write_bytes(cached.read_bytes()[:100])
    assert profile_of(bundle_of_two, asked=ON_ONE_THREAD).bundle_sha256 == bundle_of_two.sha256
    assert "measuring again, since the cached profile is of no use" in caplog.text


@pytest.mark.parametrize(
    "options", [{"subnets": TWO[:1]}, {"lengths": [8]}, {"requests_per_s": 500.0}, {"emulate": Limits(cpus=1.0)}]
)
def test_what_does_not_tell_of_the_whole_bundle_on_this_device_is_not_cached(
    bundle_of_two: Bundle, fresh_cache: Path, options: dict[str, Any]
) -> None:
    assert profile(bundle_of_two, quick=True, **options).subnetworks
    assert not list(fresh_cache.glob("edgebert/profiles/*.json"))


def test_an_emulated_profile_says_so(bundle_of_two: Bundle) -> None:
    found = profile(bundle_of_two, quick=True, lengths=[8], emulate=Limits(cpus=1.0, memory_mb=500.0))
    assert found.settings.emulated == Limits(cpus=1.0, memory_mb=500.0)
    assert {entry.way.threads for entry in found.subnetworks} == {1}


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
        ({"threads": 0}, "expected 1 to 1024 threads, found 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(builtin: Bundle, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        profile(builtin, **wrong)  # type: ignore[arg-type]


def test_unknown_names_are_refused(builtin: Bundle) -> None:
    with pytest.raises(BundleError, match="no sub-network 'w9'"):
        profile(builtin, subnets=["w9"])
    with pytest.raises(EdgeBertError, match="no provider 'NPU' here"):
        profile(builtin, provider="NPU")
    with pytest.raises(ProfileError, match="expected a number of requests a second above 0, found 0"):
        profile(builtin, requests_per_s=0)


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

    def killed(task: profiler.Task) -> profiler.Measurement | profiler.Died:
        if task.subnet == TWO[1]:
            return profiler.Died(reason="its process ended with status -9 (no message)")
        return measure_apart(task)

    monkeypatch.setattr(profiler, "_measure_apart", killed)
    found = profile(builtin, subnets=TWO, lengths=[8], quick=True)
    assert [entry.id for entry in found.subnetworks] == [TWO[0]]
    assert [one.id for one in found.left_out] == [TWO[1]]
    assert f"{TWO[1]} (cpu, fused, {default_threads()} thread" in caplog.text
    assert "is left out: its process ended with status -9" in caplog.text
    with pytest.raises(ProfileError, match="no sub-network could be measured here"):
        profile(builtin, subnets=TWO[1:], lengths=[8], quick=True)


def test_all_ways_to_run_a_network_are_measured_or_left_out_with_a_reason(builtin: Bundle) -> None:
    found = profile(builtin, lengths=[8], subnets=TWO[:1])
    tried = {(way.flavor, way.threads) for _, way in found.tried()}
    assert tried == {(flavor, threads) for flavor in ("fused", "portable") for threads in thread_counts()}
    assert all("times as slow as" in one.reason for one in found.left_out)
    assert found.stability.rounds >= found.settings.min_rounds == 3
    assert len(found.stability.readings) == found.stability.rounds


def measured_as(monkeypatch: pytest.MonkeyPatch, latency_ms: Callable[[profiler.Task, int], float]) -> list[str]:
    """Let measuring take no time and find the latency that is given for a task's nth time; return who was measured."""
    measured: list[str] = []

    def measure_apart(task: profiler.Task) -> profiler.Measurement:
        before = measured.count(task.subnet)
        measured.append(task.subnet)
        return profiler.Measurement(
            load_ms=1.0,
            first_ms=1.0,
            new_shape_ms=0.0,
            peak_memory_mb=1.0,
            steady_memory_mb=1.0,
            private_memory_mb=1.0,
            numerics=Numerics(difference=0.0, tolerance=1.0, wrong_answers=0),
            samples_ms=tuple((latency_ms(task, before),) * 30 for _ in task.shapes),
        )

    monkeypatch.setattr(profiler, "_measure_apart", measure_apart)
    return measured


@pytest.mark.parametrize(("portable_ms", "kept"), [(1.1, "fused"), (1.0, "fused"), (0.99, "fused"), (0.9, "portable")])
def test_of_two_flavors_one_is_measured_and_a_tie_goes_to_the_providers_own(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, portable_ms: float, kept: str
) -> None:
    measured_as(monkeypatch, lambda task, _: portable_ms if task.way.flavor == "portable" else 1.0)
    found = profile(builtin, lengths=[8], subnets=TWO, provider="cpu", threads=1)
    assert {entry.way.flavor for entry in found.subnetworks} == {kept}
    assert "times as slow as the other flavor" in found.left_out[0].reason


def test_each_round_starts_elsewhere(builtin: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_ways", lambda *_: [ONE_WAY])
    measured = measured_as(monkeypatch, lambda task, _: 1.0)
    a, b, c = (subnet.id for subnet in builtin.manifest.subnetworks[:3])
    profile(builtin, lengths=[8], subnets=[a, b, c])
    assert measured == [a, b, c, b, c, a, c, a, b]


@pytest.mark.parametrize(
    ("rounds_ms", "rounds", "unsettled"),
    [([1.0] * 10, 3, 0), ([1.0, 1.6, 1.0, 1.0], 4, 0), ([1.2**number for number in range(10)], 10, 1)],
)
def test_rounds_go_on_until_enough_agree(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, rounds_ms: list[float], rounds: int, unsettled: int
) -> None:
    """Some machines have two speeds, for seconds each: what is known well within a round may differ in the next."""
    monkeypatch.setattr(profiler, "_ways", lambda *_: [ONE_WAY])
    measured_as(monkeypatch, lambda task, before: rounds_ms[before])
    found = profile(builtin, lengths=[8], subnets=TWO[:1])
    assert (found.stability.rounds, len(found.stability.unsettled)) == (rounds, unsettled)


def test_what_is_asked_for_later_is_added_to_the_cached_profile(bundle_of_two: Bundle, fresh_cache: Path) -> None:
    one_thread = profile_of(bundle_of_two, asked=ON_ONE_THREAD)
    again = profile(bundle_of_two, subnets=TWO[:1], lengths=one_thread.settings.lengths, threads=2, quick=True)
    merged = DeviceProfile.load(cached_profile(fresh_cache))
    assert {entry.key for entry in merged.subnetworks} == {
        *(entry.key for entry in one_thread.subnetworks),
        *(entry.key for entry in again.subnetworks),
    }
    assert {entry.way.threads for entry in merged.subnetworks} == {1, 2}


def test_a_profile_of_a_changed_machine_is_used_if_the_canary_agrees(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = profile_of(bundle_of_two, asked=ON_ONE_THREAD)
    path = cached_profile(fresh_cache)
    now_ms = statistics.median(canary.run(default_threads()) for _ in range(9))
    for canary_ms, stands in ((now_ms, True), (now_ms * 3, False), (now_ms / 3, False)):
        reading = msgspec.structs.replace(found.stability.readings[0], canary_ms=canary_ms)
        older = msgspec.structs.replace(
            found,
            device=msgspec.structs.replace(found.device, os="Linux 1.0"),
            stability=msgspec.structs.replace(found.stability, readings=(reading,)),
        )
        older.save(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(profile_cache, "_SAME_SPEED", 2.0)  # other tests may run at the same time
            used = profile_cache.find(bundle_of_two, 1)
        assert (used is not None) == stands
    assert "system from Linux 1.0 to" in caplog.text
    assert "a fixed workload takes" in caplog.text


def cached_profile(cache: Path) -> Path:
    (path,) = cache.glob("edgebert/profiles/*.json")
    return path


def test_a_killed_profiling_goes_on_where_it_was(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
) -> None:
    measure_apart = profiler._measure_apart
    started: list[str] = []

    def interrupted(task: profiler.Task) -> profiler.Measurement | profiler.Died:
        started.append(task.subnet)
        if len(started) == 2:
            raise KeyboardInterrupt
        return measure_apart(task)

    monkeypatch.setattr(profiler, "_measure_apart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        profile(builtin, subnets=TWO, lengths=[8], quick=True)
    (journal,) = fresh_cache.glob("edgebert/profiles/*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"round": 1, "sub')  # what a kill in the middle of a line leaves
    found = profile(builtin, subnets=TWO, lengths=[8], quick=True)
    assert started == [TWO[0], TWO[1], TWO[1]]
    assert [entry.id for entry in found.subnetworks] == list(TWO)
    assert not list(fresh_cache.glob("edgebert/profiles/*.jsonl"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_profiler_that_is_killed_at_any_moment_leaves_a_readable_profile(
    found: DeviceProfile, tmp_path: Path, fresh_cache: Path
) -> None:
    out, moments = tmp_path / "p.json", random.Random(1)
    found.save(out)
    options = ["--lengths", "8,16", "--batch-sizes", "1,2", "--threads", "1", "--out", str(out)]
    command = [sys.executable, "-m", "edgebert", "profile", *options]
    finished = [0]
    while len(finished) <= 50 or (len(set(finished)) < 4 and len(finished) <= 200):  # a slow machine needs more runs
        running = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moments.uniform(0.05, 1.0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        DeviceProfile.load(out)
        finished.append(sum(path.read_bytes().count(b"\n") for path in fresh_cache.glob("edgebert/profiles/*.jsonl")))
    assert finished == sorted(finished), "a run lost what the one before it had measured"
    assert len(set(finished)) >= 4, "no run went on where the one before it was"


def test_the_interval_of_the_median_holds_it() -> None:
    samples = [float(value) for value in range(101)]
    low, high = median_interval(samples)
    assert 35 < low < 50 < high < 65
    assert median_interval([3.0]) == (3.0, 3.0)
