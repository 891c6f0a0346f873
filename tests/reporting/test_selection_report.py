from edgebert.choosing.selection import Budget, select
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.reporting.selection_report import RejectionGroup, selection_report
from profiles import BEST, LEAST, MIDDLE, entry, profile_with, way


def groups(bundle: Bundle, profile: DeviceProfile, budget: Budget) -> list[RejectionGroup]:
    """Return the groups of what lost, without what is not in the profile."""
    report = selection_report(select(bundle, profile, budget), bundle, profile)
    return [group for group in report.groups if group.kind != "not-profiled"]


def test_a_sub_network_lost_for_the_reason_of_its_nearest_way(builtin: Bundle) -> None:
    slow, fast = way(1), way(2)
    profile = profile_with(
        builtin,
        entry(BEST, 90.0, run=slow),
        entry(BEST, 50.0, run=fast),
        entry(MIDDLE, 90.0, run=slow),
        entry(MIDDLE, 5.0, run=fast),
        entry(LEAST, 60.0, run=slow),
        entry(LEAST, 4.0, run=fast),
    )
    less, over, other = groups(builtin, profile, Budget(latency_ms=20))
    assert [(less.kind, one.subnet_id, one.rejection.way) for one in less.lost] == [("less-quality", LEAST, fast)]
    assert [(over.kind, one.subnet_id, one.predicted_ms) for one in over.lost] == [("over-budget", BEST, 50.0)]
    assert [(other.is_chosen, one.subnet_id, one.rejection.way) for one in other.lost] == [(True, MIDDLE, slow)]


def test_reasons_that_are_no_numbers_are_told_apart(builtin: Bundle) -> None:
    wrong = entry(BEST, 5.0, numerics_ok=False)
    profile = profile_with(builtin, wrong, entry(MIDDLE, 5.0), entry(LEAST, 5.0))
    less, broken = groups(builtin, profile, Budget(latency_ms=20))
    assert (less.kind, less.reason) == ("less-quality", None)
    assert (broken.kind, broken.reason) == (
        "wrong-numerics",
        f"it does not give the golden outputs on this device: {wrong.numerics}",
    )


def test_everything_that_lost_is_in_one_group(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(BEST, 5.0), entry(LEAST, 4.0))
    selection = select(builtin, profile, Budget(latency_ms=20))
    report = selection_report(selection, builtin, profile)
    lost = [one.subnet_id for group in report.groups for one in group.lost]
    assert sorted(lost) == sorted(one.subnetwork for one in selection.rejected)
    assert report.metric == "accuracy"
