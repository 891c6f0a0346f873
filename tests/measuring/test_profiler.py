import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fake_trials import READING, TWO, WRONG, FakeTrials, measurement, quiet_machine
from waiting import has_ended, soon, trial_of

from edgebert.choosing.selection import Budget, select
from edgebert.engines.cpu import CpuEngine
from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import default_threads, this_device, thread_counts
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profile_settings import settings_for
from edgebert.measuring.profiler import Profiling, profile
from edgebert.measuring.trial import Died, Measurement, Trial
from edgebert.measuring.trial_journal import TrialJournal, TrialRecord
from edgebert.measuring.ways import Combination, combinations, ways_to_measure
from edgebert.subnet import Way, WayFilter
from profiles import way

Alter = Callable[..., Path]


@pytest.fixture(scope="module")
def found(builtin: Bundle) -> DeviceProfile:
    return profile(builtin, lengths=[8, 16], batch_sizes=[1, 2], subnets=TWO, quick=True)


def pairs_of(bundle: Bundle, subnets: tuple[str, ...] = TWO, ways: tuple[Way, ...] = (way(),)) -> list[Combination]:
    return combinations([bundle.subnet(subnet_id) for subnet_id in subnets], ways)


def profiling(
    bundle: Bundle,
    measure: Callable[[Trial], Measurement | Died],
    journal: TrialJournal | None = None,
    *,
    quick: bool = False,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Profiling:
    """Return a profiling of one length that takes no time."""
    settings = settings_for(bundle, lengths=[8], quick=quick)
    return Profiling(
        bundle,
        settings,
        journal or TrialJournal(),
        on_progress,
        measure=measure,
        watch=quiet_machine,
        clock=lambda: 0.0,
    )


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


def test_another_bundles_profile_is_refused(found: DeviceProfile, alter_manifest: Alter) -> None:
    other = Bundle.load(alter_manifest(name="other"))
    with pytest.raises(
        ProfileError, match=r"the profile is of another bundle \(expected bundle .*\); profile this one"
    ):
        found.check_fits(other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengths": [1]}, "expected a length of 2 to 128, found 1"),
        ({"lengths": [16, 129]}, "expected a length of 2 to 128, found 129"),
        ({"batch_sizes": [0]}, "expected a batch size of 1 to 1024, found 0"),
        ({"threads": 0}, "expected 1 to 1024 threads, found 0"),
        ({"provider": "NPU"}, "no provider 'NPU' here; choose one of cpu"),
        ({"requests_per_s": 0}, "expected a number of requests a second above 0, found 0"),
        ({"subnets": ["w9"]}, "no sub-network 'w9' in bundle"),
    ],
)
def test_what_cannot_be_measured_is_refused(builtin: Bundle, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        profile(builtin, **wrong)  # type: ignore[arg-type]


def test_a_damaged_bundle_is_named(bundle_path: Path) -> None:
    with (bundle_path / "weights-int8.bin").open("r+b") as file:
        file.write(b"\x55\x55")
    with pytest.raises(BundleError, match=r"weights-int8.bin was altered: expected sha256"):
        profile(bundle_path, subnets=TWO, lengths=[8], quick=True)


def test_progress_is_told_to_the_end(builtin: Bundle) -> None:
    heard: list[tuple[int, int, str]] = []
    one = profiling(builtin, FakeTrials(), quick=True, on_progress=lambda *step: heard.append(step))
    one.run(pairs_of(builtin))
    assert heard == [(1, 2, TWO[0]), (2, 2, TWO[1])]


def test_a_sub_network_whose_process_dies_is_left_out(builtin: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    """A device without the memory for the full network still gets a profile of the others."""
    trials = FakeTrials()

    def killed(trial: Trial) -> Measurement | Died:
        return Died(reason="its process ended with status -9") if trial.subnet == TWO[1] else trials(trial)

    found = profiling(builtin, killed).run(pairs_of(builtin))
    assert [entry.id for entry in found.subnetworks] == [TWO[0]]
    assert [one.id for one in found.left_out] == [TWO[1]]
    assert f"{TWO[1]} (cpu, fused, 1 thread) is left out: its process ended with status -9" in caplog.text
    with pytest.raises(ProfileError, match="no sub-network could be measured here"):
        profiling(builtin, killed).run(pairs_of(builtin, TWO[1:]))


WITHOUT_KLEIDIAI = (("mlas.disable_kleidiai", "1"),)


def trials_wrong_in(wrong: Callable[[Trial], bool], ms: float = 1.0) -> Callable[[Trial], Measurement]:
    """Return trials that miss the golden outputs in some of them, which take so long."""

    def trial(one: Trial) -> Measurement:
        shapes = one.settings.shapes
        return measurement(*(ms for _ in shapes), numerics=WRONG) if wrong(one) else measurement(*(1.0 for _ in shapes))

    return trial


def test_where_a_way_is_wrong_what_may_help_is_measured_too(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CpuEngine, "cures", lambda _: (WITHOUT_KLEIDIAI,))
    found = profiling(builtin, trials_wrong_in(lambda trial: not trial.way.options)).run(pairs_of(builtin))
    assert {(entry.way.options, entry.numerics_ok) for entry in found.subnetworks} == {
        ((), False),
        (WITHOUT_KLEIDIAI, True),
    }
    assert "outputs are wrong here: trying cpu, fused, 1 thread, mlas.disable_kleidiai=1" in caplog.text
    assert select(builtin, found, Budget(length=8)).way.options == WITHOUT_KLEIDIAI


def test_a_way_that_is_wrong_for_one_network_is_trusted_for_none_of_its_precision(builtin: Bundle) -> None:
    found = profiling(builtin, trials_wrong_in(lambda trial: trial.subnet == TWO[0])).run(pairs_of(builtin))
    assert not any(entry.numerics_ok for entry in found.subnetworks if not entry.way.options)
    reasons = {entry.id: entry.what_is_wrong for entry in found.subnetworks}
    assert reasons[TWO[0]] == "outputs are 2 off, 1 is allowed"
    assert reasons[TWO[1]].endswith("; in this way other networks of its precision are wrong")


def test_what_is_wrong_rules_out_no_slower_way(builtin: Bundle) -> None:
    fast_and_wrong = trials_wrong_in(lambda trial: trial.way.flavor == "fused", ms=0.1)
    found = profiling(builtin, fast_and_wrong).run(pairs_of(builtin, ways=(way(), way(flavor="portable"))))
    assert {entry.way.flavor for entry in found.subnetworks if entry.numerics_ok} == {"portable"}


def test_all_ways_to_run_a_network_are_measured_or_left_out_with_a_reason(builtin: Bundle) -> None:
    ways = tuple(ways_to_measure(WayFilter(engines=("cpu",)), thread_counts()[-1], quick=False))
    trials = FakeTrials(lambda trial, _: 1.5 if trial.way.flavor == "portable" else 1.0)
    found = profiling(builtin, trials).run(pairs_of(builtin, ways=ways))
    assert found.tried() == {(subnet_id, one) for subnet_id in TWO for one in ways}
    assert {entry.way for entry in found.subnetworks} == {way(threads) for threads in thread_counts()}
    assert {one.reason for one in found.left_out} == {"1.50 times as slow as the other flavor"}


def test_each_round_starts_elsewhere(builtin: Bundle) -> None:
    trials = FakeTrials()
    a, b, c = (subnet.id for subnet in builtin.manifest.subnetworks[:3])
    profiling(builtin, trials).run(pairs_of(builtin, (a, b, c)))
    assert trials.made == [a, b, c, b, c, a, c, a, b]


@pytest.mark.parametrize(
    ("rounds_ms", "rounds", "unsettled"),
    [([1.0] * 10, 3, 0), ([1.0, 1.6, 1.0, 1.0], 4, 0), ([1.2**number for number in range(10)], 10, 1)],
)
def test_rounds_go_on_until_enough_agree(builtin: Bundle, rounds_ms: list[float], rounds: int, unsettled: int) -> None:
    """Some machines have two speeds, for seconds each: what is known well within a round may differ in the next."""
    found = profiling(builtin, FakeTrials(lambda trial, before: rounds_ms[before])).run(pairs_of(builtin, TWO[:1]))
    assert (found.stability.rounds, len(found.stability.unsettled)) == (rounds, unsettled)


def test_rounds_end_when_the_time_is_up(builtin: Bundle) -> None:
    settings = settings_for(builtin, lengths=[8])
    measure, now_s = FakeTrials(lambda trial, before: 1.2**before), iter([0.0, 1.0, 2.0, 3.0, 4.0])
    one = Profiling(builtin, settings, TrialJournal(), measure=measure, watch=quiet_machine, clock=lambda: next(now_s))
    found = one.run(pairs_of(builtin, TWO[:1]))
    assert found.stability.rounds == settings.min_rounds + 2  # 2.2 s for one entry: 1 and 2 s are within it


def test_a_killed_profiling_goes_on_where_it_was(builtin: Bundle, tmp_path: Path) -> None:
    trials = FakeTrials()

    def interrupted(trial: Trial) -> Measurement:
        if trials.made == [TWO[0]]:
            trials.made.append("interrupted")
            raise KeyboardInterrupt
        return trials(trial)

    with pytest.raises(KeyboardInterrupt):
        profiling(builtin, interrupted, TrialJournal(tmp_path / "j"), quick=True).run(pairs_of(builtin))
    found = profiling(builtin, interrupted, TrialJournal(tmp_path / "j"), quick=True).run(pairs_of(builtin))
    assert trials.made == [TWO[0], "interrupted", TWO[1]]
    assert [entry.id for entry in found.subnetworks] == list(TWO)


def test_a_trial_in_the_journal_that_is_too_short_is_made_again(builtin: Bundle, tmp_path: Path) -> None:
    pairs, settings = pairs_of(builtin, TWO[:1]), settings_for(builtin, lengths=[8])
    short, narrow = measurement(1.0, samples=settings.min_runs - 1), measurement(1.0, 1.0)
    for result in (short, narrow):
        trials, journal = FakeTrials(), TrialJournal(tmp_path / "j")
        for this_round in (1, 2, 3):
            journal.add(TrialRecord(this_round, *pairs[0].key, READING, result))
        profiling(builtin, trials, journal).run(pairs)
        assert trials.made == [TWO[0]] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_profiler_that_is_killed_leaves_a_readable_profile_and_goes_on_where_it_was(
    found: DeviceProfile, tmp_path: Path, fresh_cache: Path
) -> None:
    out, moments = tmp_path / "p.json", random.Random(1)
    found.save(out)

    def finished() -> int:
        return sum(path.read_bytes().count(b"\n") for path in fresh_cache.glob("*.jsonl"))

    options = ["--lengths", "8,16", "--batch-sizes", "1,2", "--threads", "1", "--out", str(out)]
    for _ in range(6):
        before, deadline = finished(), time.monotonic() + 120
        with subprocess.Popen(
            [sys.executable, "-m", "edgebert", "profile", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as running:
            while finished() == before and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.5))  # any moment of the trial that comes next
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        assert finished() > before, "a run lost what the one before it had measured, or measured nothing"
        DeviceProfile.load(out)


@pytest.mark.usefixtures("fresh_cache")
def test_the_trial_of_a_profiler_that_is_killed_ends_too() -> None:
    # A request in 100 s: it ends for no other reason.
    options = ["--subnets", TWO[0], "--lengths", "8", "--requests-per-s", "0.01"]
    with subprocess.Popen([sys.executable, "-m", "edgebert", "profile", *options]) as running:
        trial = trial_of(psutil.Process(running.pid))
        running.kill()
    assert soon(lambda: has_ended(trial))
