import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_trials import READING, TWO

from edgebert.inputs.bundle import Bundle
from edgebert.machine.canary import Reading
from edgebert.machine.device import this_device
from edgebert.machine.limits import Limits
from edgebert.measuring import profile_cache
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import Profiling, profile, profile_of
from edgebert.measuring.ways import Combination
from edgebert.subnet import WayFilter
from profiles import entry, in_a_browser, looked, profile_with, way

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
    for one in (other, in_a_browser(other)):
        one.save(cached_file(fresh_cache))
        assert profile_cache.find(bundle_of_two, 1) is None
        assert "the cached profile is of another bundle or device" in caplog.text


def test_a_cached_profile_of_an_earlier_version_is_measured_again(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile_cache.keep(complete_profile(bundle_of_two), bundle_of_two, quick=True)
    cached = cached_file(fresh_cache)
    content = cached.read_text().replace('"schema_version": 5', '"schema_version": 4')
    cached.write_text(content.replace('"runtime": "python",', "").replace('"runs_per_sample": 1,', ""))
    assert profile_cache.find(bundle_of_two, 1) is None
    assert "measuring again, since the cached profile is of no use: " in caplog.text
    assert "expected schema_version 5, found 4" in caplog.text


def kept_on_threads(bundle: Bundle, *threads: int) -> None:
    """Keep a profile of both sub-networks, on so many threads."""
    entries = [entry(subnet_id, 8.0, run=way(count)) for subnet_id in TWO for count in threads]
    profile_cache.keep(profile_with(bundle, *entries), bundle, quick=False)


@pytest.fixture
def quickly(bundle_of_two: Bundle, monkeypatch: pytest.MonkeyPatch) -> list[WayFilter]:
    """Let profiling take no time."""
    asked: list[WayFilter] = []

    def made_up(_: Profiling, pairs: Sequence[Combination], *, keep_engines: bool) -> DeviceProfile:
        asked.append(WayFilter(threads=pairs[0].way.threads))
        return profile_with(bundle_of_two, *(entry(one.subnet.id, 8.0, run=one.way) for one in pairs))

    monkeypatch.setattr("edgebert.measuring.profiler.Profiling.run", made_up)
    return asked


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """What a glance at the device shows, until a test says otherwise that it is calm."""
    shown = [READING]

    @contextlib.contextmanager
    def watching(threads: int, *, beside_app: bool = False) -> Iterator[list[Reading]]:
        yield shown

    monkeypatch.setattr("edgebert.measuring.profiler.canary.watching", watching)
    return shown


def keep_restless(bundle: Bundle, **changes: Any) -> None:
    restless = looked(complete_profile(bundle, 99.0), "other processes took 80 %: close them and profile again")
    profile_cache.keep(msgspec.structs.replace(restless, **changes), bundle, quick=True)


@pytest.mark.usefixtures("fresh_cache")
def test_a_doubtful_profile_is_measured_again_when_the_device_is_calm(
    bundle_of_two: Bundle, quickly: list[WayFilter], now: list[Reading], caplog: pytest.LogCaptureFixture
) -> None:
    keep_restless(bundle_of_two)
    now[0] = msgspec.structs.replace(READING, others_share=0.5)
    with caplog.at_level(logging.WARNING):
        assert profile_of(bundle_of_two, 1, ON_ONE_THREAD).is_doubtful
    assert "is doubtful, and measured again when the device is calm: other processes took 80 %" in caplog.text
    assert quickly == []

    now[0] = READING
    with caplog.at_level(logging.WARNING):
        healed = profile_of(bundle_of_two, 1, ON_ONE_THREAD)
    assert "is doubtful (other processes took 80 %" in caplog.text
    assert "and the device calm now: measuring it again" in caplog.text
    assert not healed.is_doubtful
    assert {one.latency[-1].p50_ms for one in healed.subnetworks} == {8.0}
    assert profile_of(bundle_of_two, 1, ON_ONE_THREAD) == healed
    assert len(quickly) == 1


def test_beside_an_app_a_busy_device_is_left_alone_though_nothing_can_be_cached(
    bundle_of_two: Bundle, quickly: list[WayFilter], now: list[Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/none")
    in_use = looked(complete_profile(bundle_of_two, 99.0), "busy")
    now[0] = msgspec.structs.replace(READING, others_share=0.5)
    assert profile_of(bundle_of_two, 1, ON_ONE_THREAD, in_use=in_use) == in_use
    assert quickly == []
    now[0] = READING
    assert not profile_of(bundle_of_two, 1, ON_ONE_THREAD, in_use=in_use).is_doubtful
    assert len(quickly) == 1


@pytest.mark.usefixtures("fresh_cache", "now")
def test_a_doubtful_profile_is_not_measured_again_and_again(bundle_of_two: Bundle, quickly: list[WayFilter]) -> None:
    keep_restless(bundle_of_two, created_at=datetime.now(UTC).isoformat(timespec="seconds"))
    assert profile_of(bundle_of_two, 1, ON_ONE_THREAD).is_doubtful
    assert quickly == []


@pytest.mark.usefixtures("fresh_cache", "now")
def test_all_that_a_doubtful_profile_holds_is_measured_again(bundle_of_two: Bundle, quickly: list[WayFilter]) -> None:
    keep_restless(bundle_of_two)
    beside = profile_with(bundle_of_two, *(entry(subnet_id, 99.0, run=way(2)) for subnet_id in TWO))
    profile_cache.keep(looked(beside, "hot"), bundle_of_two, quick=True)
    healed = profile_of(bundle_of_two, 1, ON_ONE_THREAD)
    assert {one.way.threads for one in healed.subnetworks} == {1, 2}
    assert not healed.is_doubtful


def test_profiling_again_and_again_writes_the_cache_once(
    bundle_of_two: Bundle, fresh_cache: Path, quickly: list[WayFilter]
) -> None:
    profile(bundle_of_two, quick=True)
    written = cached_file(fresh_cache)
    before = (written.read_bytes(), written.stat().st_ino)
    for _ in range(5):
        profile(bundle_of_two, quick=True)
    assert (written.read_bytes(), written.stat().st_ino) == before
    assert len(quickly) == 6
    assert sorted(path.name for path in fresh_cache.iterdir()) == sorted([written.name, "measuring.lock"])


def test_what_is_not_used_or_was_left_is_removed(
    bundle_of_two: Bundle, fresh_cache: Path, quickly: list[WayFilter]
) -> None:
    kept_on_threads(bundle_of_two, 1)
    kept, now = cached_file(fresh_cache), time.time()
    # The clock was set back since some were written: those are from the future.
    for number in range(1, 81):
        for path, age_s in ((f"{number}.json", 1000 * number), (f"future-{number}.json", -1000 * number)):
            (fresh_cache / path).touch()
            os.utime(fresh_cache / path, (now - age_s, now - age_s))
    for name, age_s in (("new", 0), ("old", 4000), ("future", -4000)):
        (fresh_cache / f"{name}.journal.jsonl").touch()
        os.utime(fresh_cache / f"{name}.journal.jsonl", (now - age_s, now - age_s))
    (fresh_cache / ".kept.json.abcdefgh.partial").mkdir()
    os.utime(kept, (0, 0))
    assert profile_cache.find(bundle_of_two, 1) is not None  # which is a use

    profile(bundle_of_two, quick=True)
    profiles = {path.name for path in fresh_cache.glob("*.json")}
    assert profiles == {kept.name} | {f"{n}.json" for n in range(1, 50)} | {f"future-{n}.json" for n in range(1, 51)}
    others = {path.name for path in fresh_cache.iterdir()} - profiles
    assert others == {"measuring.lock", "new.journal.jsonl"}


def test_a_file_that_grew_beyond_any_profile_is_not_read(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_on_threads(bundle_of_two, 1)
    os.truncate(cached_file(fresh_cache), 1_000_000_000)
    assert profile_cache.find(bundle_of_two, 1) is None
    assert "is larger than any profile" in caplog.text
    kept_on_threads(bundle_of_two, 1)
    assert profile_cache.find(bundle_of_two, 1) is not None


def file_in_place(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(parents=True)
    cache.touch()


def no_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: str, **__: bool) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_cache_dir", none)


def unknown_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/edgebert")


def read_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: str, **__: str) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    cache.mkdir(parents=True)
    monkeypatch.setattr("tempfile.mkdtemp", refused)


def full(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache.mkdir(parents=True)
    monkeypatch.setattr("pathlib.Path.write_bytes", refused)


@pytest.mark.parametrize("place", [file_in_place, no_home, unknown_home, read_only, full])
def test_a_device_without_a_writable_place_is_profiled_all_the_same_and_told_so_once(
    bundle_of_two: Bundle,
    fresh_cache: Path,
    quickly: list[WayFilter],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    profile_cache._warn_once.cache_clear()
    monkeypatch.chdir(fresh_cache.parents[2])
    place(fresh_cache, monkeypatch)
    for asked in (ON_ONE_THREAD, WayFilter(threads=2), ON_ONE_THREAD):
        found = profile_of(bundle_of_two, 1, asked)
        assert {one.key for one in found.subnetworks} == {(subnet_id, way(asked.threads or 1)) for subnet_id in TWO}
    assert caplog.text.count("are not kept") == 1
    assert "set XDG_CACHE_HOME to a folder that can be written" in caplog.text
    assert not Path("~").exists()


def test_a_cached_profile_that_cannot_be_added_to_is_used_as_far_as_it_goes(
    bundle_of_two: Bundle,
    fresh_cache: Path,
    quickly: list[WayFilter],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile_cache._warn_once.cache_clear()
    kept_on_threads(bundle_of_two, 1)
    read_only(fresh_cache / "other", monkeypatch)
    assert profile_of(bundle_of_two, 1, ON_ONE_THREAD).holds(ON_ONE_THREAD)
    assert caplog.text == ""
    assert profile_of(bundle_of_two, 1, WayFilter(threads=2)).holds(WayFilter(threads=2))
    assert quickly == [WayFilter(threads=2)]
    assert caplog.text.count("are not kept") == 1


def test_a_cached_profile_is_found_while_another_process_measures(
    bundle_of_two: Bundle, fresh_cache: Path, caplog: pytest.LogCaptureFixture, quickly: list[WayFilter]
) -> None:
    kept_on_threads(bundle_of_two, 1)
    with ThreadPoolExecutor(1) as pool:
        with profile_cache.measuring_alone() as waited:
            assert not waited
            assert profile_of(bundle_of_two, 1, ON_ONE_THREAD).holds(ON_ONE_THREAD)
            waiting = pool.submit(profile_of, bundle_of_two, 1, WayFilter(threads=2))
            while "another process is measuring on this device" not in caplog.text:
                time.sleep(0.01)
            kept_on_threads(bundle_of_two, 2)
        # What that one measured is not measured again.
        assert waiting.result().holds(WayFilter(threads=2))
    assert quickly == []


def test_where_there_are_no_locks_nobody_waits(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebert.locks.fcntl", None)
    with profile_cache.measuring_alone() as waited, profile_cache.measuring_alone() as waited_too:
        assert not waited
        assert not waited_too
