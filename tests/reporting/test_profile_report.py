import msgspec

from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile, LeftOut
from edgebert.reporting.profile_report import Doubt, profile_report
from profiles import BEST, LEAST, LENGTHS, MIDDLE, entry, in_a_browser, profile_of_costs, profile_with, way


def changed_stability(profile: DeviceProfile, **values: object) -> DeviceProfile:
    stability = msgspec.structs.replace(profile.stability, **values)
    return msgspec.structs.replace(profile, stability=stability)


def test_the_front_is_what_no_other_beats(builtin: Bundle) -> None:
    report = profile_report(profile_of_costs(builtin, {BEST: 40.0, MIDDLE: 50.0, LEAST: 10.0}), builtin)
    assert [(row.entry.id, row.is_on_front) for row in report.rows] == [(BEST, True), (MIDDLE, False), (LEAST, True)]
    assert (report.metric, report.batch_size, report.profile.settings.lengths) == ("accuracy", 1, LENGTHS)


def test_wrong_numerics_are_not_on_the_front_and_doubtful(builtin: Bundle) -> None:
    wrong = entry(BEST, 5.0, numerics_ok=False)
    report = profile_report(profile_with(builtin, wrong, entry(LEAST, 10.0)), builtin)
    assert [row.is_on_front for row in report.rows] == [False, True]
    assert Doubt("wrong-numerics", str(wrong.numerics), (BEST,), wrong.way) in report.doubts


def test_without_its_bundle_a_profile_has_rows_but_no_front(builtin: Bundle) -> None:
    report = profile_report(profile_of_costs(builtin, {BEST: 40.0}))
    (row,) = report.rows
    assert (report.metric, row.quality, row.method, row.is_on_front) == (None, None, None, False)
    assert [one.length for one in row.latency] == list(LENGTHS)


def test_what_was_left_out_for_one_reason_is_one_doubt(builtin: Bundle) -> None:
    left_out = tuple(LeftOut(name, way(threads), "twice as slow") for threads in (1, 2) for name in (BEST, LEAST))
    profile = msgspec.structs.replace(profile_of_costs(builtin, {BEST: 40.0}), left_out=left_out)
    doubts = [doubt for doubt in profile_report(profile, builtin).doubts if doubt.kind == "left-out"]
    assert doubts == [Doubt("left-out", "twice as slow", (BEST, LEAST), way(threads)) for threads in (1, 2)]


def test_a_stable_profile_only_says_how_far_its_rounds_differ(builtin: Bundle) -> None:
    profile = profile_of_costs(builtin, {BEST: 40.0})
    assert [doubt.kind for doubt in profile_report(profile).doubts] == ["rounds-differ"]
    assert profile_report(changed_stability(profile, rounds=1, unsettled=(BEST,))).doubts == ()


def test_what_is_unsettled_or_unstable_is_a_doubt(builtin: Bundle) -> None:
    profile = changed_stability(profile_of_costs(builtin, {BEST: 40.0}), unsettled=(BEST,), warning="others took 80 %")
    differ, unsettled, unstable = profile_report(profile).doubts
    assert differ.reason.startswith("the medians of the 3 rounds differ by 1.00x in the median, 1.00x at worst")
    assert unsettled == Doubt(
        "unsettled", "in the time given, 1 entries have a median that is not known to 2%", (BEST,)
    )
    assert unstable == Doubt("unstable", "others took 80 %")


def test_percentiles_of_means_are_a_doubt(builtin: Bundle) -> None:
    profile = in_a_browser(profile_of_costs(builtin, {BEST: 40.0}))
    assert [doubt.kind for doubt in profile_report(profile).doubts] == ["rounds-differ"]
    (one,) = profile.subnetworks
    first, *others = one.latency
    latency = (msgspec.structs.replace(first, runs_per_sample=20), *others)
    coarse = msgspec.structs.replace(profile, subnetworks=(msgspec.structs.replace(one, latency=latency),))
    report = profile_report(coarse, builtin)
    assert [doubt.kind for doubt in report.doubts] == ["rounds-differ", "coarse-clock"]
    assert "up to 20 as one: p95 and p99 of such means are lower" in report.doubts[-1].reason
    assert not report.is_of_this_device
