import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.choosing.selection import Budget, Miss, Selection, pareto_front, select, select_unprofiled, worths
from edgebert.engines.cpu import CPU
from edgebert.engines.session import default_way
from edgebert.errors import BudgetError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import Quality
from edgebert.measuring.device_profile import DeviceProfile
from profiles import entry, in_a_browser, profile_with, way

BUILTIN = Bundle.load()
IDS = [subnet.id for subnet in BUILTIN.manifest.subnetworks][:5]


def bundle_with(qualities: list[float | None]) -> Bundle:
    """Return the built-in bundle with its first sub-networks and these qualities."""
    subnetworks = tuple(
        msgspec.structs.replace(subnet, quality=None if value is None else quality(value))
        for subnet, value in zip(BUILTIN.manifest.subnetworks, qualities, strict=False)
    )
    return Bundle(BUILTIN.path, msgspec.structs.replace(BUILTIN.manifest, subnetworks=subnetworks))


def quality(value: float) -> Quality:
    return Quality(metric="micro_f1", value=value, samples=100, dataset="x", also={})


def profile_of(ms_and_mb: list[tuple[float, float]]) -> DeviceProfile:
    pairs = zip(IDS, ms_and_mb, strict=False)
    return profile_with(BUILTIN, *(entry(subnet_id, ms, mb) for subnet_id, (ms, mb) in pairs))


BUNDLE = bundle_with([0.9, 0.85, 0.85, 0.8])
PROFILE = profile_of([(20.0, 40.0), (10.0, 30.0), (8.0, 50.0), (4.0, 10.0)])


def reasons(selection: Selection) -> dict[str, str]:
    return {lost.subnetwork: lost.reason for lost in selection.rejected}


def test_the_best_within_the_budget_wins_and_ties_go_to_the_faster() -> None:
    chosen = select(BUNDLE, PROFILE, Budget(latency_ms=15))
    assert (chosen.subnetwork, chosen.predicted_ms, chosen.quality) == (IDS[2], 8.0, 0.85)
    assert reasons(chosen) == {
        IDS[0]: "20.00 ms is over 15 ms",
        IDS[1]: "no better, and slower: 10.00 ms",
        IDS[3]: "micro_f1 0.800, not above 0.850",
    }


def test_memory_is_a_budget_of_its_own() -> None:
    chosen = select(BUNDLE, PROFILE, Budget(latency_ms=15, memory_mb=35))
    assert chosen.subnetwork == IDS[1]
    assert reasons(chosen)[IDS[0]] == "20.00 ms is over 15 ms and 40.0 MB is over 35 MB"
    assert select(BUNDLE, PROFILE, Budget(memory_mb=20)).subnetwork == IDS[3]


def test_a_budget_that_is_met_exactly_is_met() -> None:
    assert select(BUNDLE, PROFILE, Budget(latency_ms=20, memory_mb=40)).subnetwork == IDS[0]


def test_without_a_budget_the_best_wins() -> None:
    assert select(BUNDLE, PROFILE, Budget()).subnetwork == IDS[0]


def test_a_shorter_input_buys_a_larger_network() -> None:
    assert select(BUNDLE, PROFILE, Budget(latency_ms=5)).subnetwork == IDS[3]
    assert select(BUNDLE, PROFILE, Budget(latency_ms=5, length=16)).subnetwork == IDS[0]


def test_a_tolerance_counts_the_nearly_as_good_as_tied() -> None:
    assert select(BUNDLE, PROFILE, Budget(tolerance=0.04)).subnetwork == IDS[0]
    assert select(BUNDLE, PROFILE, Budget(tolerance=0.05)).subnetwork == IDS[2]
    assert select(BUNDLE, PROFILE, Budget(tolerance=0.1)).subnetwork == IDS[3]


def test_equal_in_quality_and_time_the_smaller_wins() -> None:
    bundle, profile = bundle_with([0.9, 0.9]), profile_of([(5.0, 20.0), (5.0, 10.0)])
    chosen = select(bundle, profile, Budget())
    assert chosen.subnetwork == IDS[1]
    assert reasons(chosen)[IDS[0]] == "no better, and larger"


def test_wrong_numerics_and_unknown_qualities_are_never_chosen() -> None:
    bundle = bundle_with([0.9, None, 0.8])
    profile = profile_with(bundle, entry(IDS[0], 1, numerics_ok=False), entry(IDS[1], 1), entry(IDS[2], 5))
    chosen = select(bundle, profile, Budget(latency_ms=10))
    assert chosen.subnetwork == IDS[2]
    assert reasons(chosen) == {
        IDS[0]: "it does not give the golden outputs on this device: outputs are 2 off, 1 is allowed",
        IDS[1]: "its quality is not known; export with --eval or --texts",
    }


def test_what_was_not_profiled_is_never_chosen() -> None:
    chosen = select(BUNDLE, profile_of([(20.0, 40.0)]), Budget())
    assert chosen.subnetwork == IDS[0]
    assert reasons(chosen) == dict.fromkeys(IDS[1:4], "it is not in the profile")


def test_an_infeasible_budget_names_the_nearest_miss() -> None:
    message = (
        rf"^no sub-network meets 2 ms at p95 for 128 tokens here; the nearest is {IDS[3]} with 4.00 ms. "
        r"Raise the budget, give a --length of at most 64, or export a smaller sub-network.$"
    )
    with pytest.raises(BudgetError, match=message) as caught:
        select(BUNDLE, PROFILE, Budget(latency_ms=2))
    miss = Miss(subnetwork=IDS[3], way=default_way(), predicted_ms=4.0, peak_memory_mb=10.0, quality=0.8)
    assert caught.value.nearest == miss


@given(
    st.lists(st.tuples(st.floats(1, 40), st.floats(10, 60)), min_size=1, max_size=4),
    st.floats(0.05, 40),
    st.sampled_from([None, 30.0]),
    st.sampled_from([95, 50]),
)
def test_what_an_infeasible_budget_advises_works(
    costs: list[tuple[float, float]], latency_ms: float, memory_mb: float | None, percentile: float
) -> None:
    profile, budget = profile_of(costs), Budget(latency_ms=latency_ms, memory_mb=memory_mb, percentile=percentile)
    try:
        select(BUNDLE, profile, budget)
    except BudgetError as problem:
        advised = re.search(r"give a --length of at most (\d+)", str(problem))
        longest = int(advised[1]) if advised else 0
        if longest:
            select(BUNDLE, profile, msgspec.structs.replace(budget, length=longest))
        with pytest.raises(BudgetError):
            select(BUNDLE, profile, msgspec.structs.replace(budget, length=max(longest + 1, 3)))


def test_a_lower_percentile_is_advised_where_that_does() -> None:
    slow = entry(IDS[0], 9.0)
    levels = {"p50_ms": 1.0, "p50_ci95_ms": (1.0, 1.0), "p90_ms": 2.0, "p95_ms": 9.0, "p99_ms": 9.0}
    rows = tuple(msgspec.structs.replace(row, **levels) for row in slow.latency)
    eager = profile_with(BUILTIN, msgspec.structs.replace(slow, latency=rows))
    for latency_ms, advice in ((2.5, 90), (1.5, 50)):
        with pytest.raises(BudgetError, match=rf"Raise the budget, give a --percentile of {advice}, or export"):
            select(BUNDLE, eager, Budget(latency_ms=latency_ms))
    with pytest.raises(BudgetError, match=r"with 9.00 ms\. Raise the budget or export a smaller sub-network\.$"):
        select(BUNDLE, profile_of([(9.0, 10.0)]), Budget(latency_ms=0.1))


def test_a_budget_that_a_restless_profile_refuses_says_so() -> None:
    stability = msgspec.structs.replace(PROFILE.stability, warning="other processes took 80 %: profile again")
    with pytest.raises(
        BudgetError, match=r"sub-network\. Or the profile is wrong: other processes took 80 %: profile a"
    ):
        select(BUNDLE, msgspec.structs.replace(PROFILE, stability=stability), Budget(latency_ms=2))


def test_the_nearest_miss_weighs_both_budgets() -> None:
    with pytest.raises(
        BudgetError, match=rf"meets 9 ms .* and 15 MB here; the nearest is {IDS[1]} with 10.00 ms and"
    ) as e:
        select(BUNDLE, profile_of([(20, 20), (10, 16), (8, 50), (18, 10)]), Budget(latency_ms=9, memory_mb=15))
    assert e.value.nearest.subnetwork == IDS[1]


def test_a_shape_beyond_the_profile_is_never_promised() -> None:
    with pytest.raises(BudgetError, match="8 x 128 tokens is beyond the measured 1 x 128; profile again"):
        select(BUNDLE, PROFILE, Budget(latency_ms=100, batch_size=8))


def test_where_no_quality_is_known_the_largest_that_fits_wins(caplog: pytest.LogCaptureFixture) -> None:
    bundle = bundle_with([None] * 4)
    sizes = [subnet.parameters for subnet in bundle.manifest.subnetworks]
    assert sizes == sorted(sizes, reverse=True)
    chosen = select(bundle, PROFILE, Budget(latency_ms=15))
    assert (chosen.subnetwork, chosen.quality) == (IDS[1], None)
    assert reasons(chosen)[IDS[2]] == f"{sizes[2] / 1e6:.1f} M parameters, not above {sizes[1] / 1e6:.1f} M"
    assert "has a known quality, so the largest that fits is chosen; export it with --eval or --texts" in caplog.text
    unprofiled = select_unprofiled(bundle, Budget(), way())
    assert (unprofiled.subnetwork, unprofiled.quality) == (IDS[0], None)


def test_without_a_profile_the_best_and_then_the_smallest_wins() -> None:
    chosen = select_unprofiled(bundle_with([0.8, 0.9, 0.9]), Budget(), way())
    assert (chosen.subnetwork, chosen.predicted_ms) == (IDS[2], None)


def test_without_a_profile_precisions_that_do_not_suit_the_way_are_taken_last() -> None:
    bundle = bundle_with([0.9, 0.85, 0.8])
    large, *others = bundle.manifest.subnetworks
    half = msgspec.structs.replace(large, precision="fp16")
    bundle = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, subnetworks=(half, *others)))
    chosen = select_unprofiled(bundle, Budget(), way(), CPU.takes)
    assert chosen.subnetwork == IDS[1]
    assert reasons(chosen) == {IDS[0]: "fp16 is not worth it on cpu", IDS[2]: "micro_f1 0.800, not above 0.850"}
    alone = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, subnetworks=(half,)))
    assert select_unprofiled(alone, Budget(), way(), CPU.takes).subnetwork == IDS[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latency_ms": 0}, "expected a latency_ms above 0, found 0"),
        ({"latency_ms": float("nan")}, "expected a latency_ms above 0, found nan"),
        ({"memory_mb": -5}, "expected a memory_mb above 0, found -5"),
        ({"length": 0}, "expected a length above 0, found 0"),
        ({"batch_size": 0}, "expected a batch_size above 0, found 0"),
        ({"tolerance": -0.1}, "expected a tolerance of 0 to 1, found -0.1"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        Budget(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="expected a percentile"):
        Budget(percentile=100)


COSTS = st.lists(st.tuples(st.floats(0.1, 100), st.floats(1, 100)), min_size=1, max_size=5)
QUALITIES = st.lists(st.one_of(st.none(), st.integers(0, 100).map(lambda hits: hits / 100)), min_size=5, max_size=5)
LIMITS = st.one_of(st.none(), st.floats(0.01, 200))


def quality_bought(bundle: Bundle, profile: DeviceProfile, budget: Budget) -> float:
    """Return what a budget buys is worth, -1 for nothing."""
    try:
        chosen = select(bundle, profile, budget)
    except BudgetError:
        return -1
    assert chosen.quality is not None or not bundle.manifest.qualities
    assert budget.latency_ms is None or (chosen.predicted_ms is not None and chosen.predicted_ms <= budget.latency_ms)
    assert budget.memory_mb is None or (chosen.peak_memory_mb is not None and chosen.peak_memory_mb <= budget.memory_mb)
    return worths(bundle.manifest)[chosen.subnetwork]


def at_least(limit: float | None, other: float | None) -> tuple[float | None, float | None]:
    """Return two limits, the tighter one first."""
    ordered = sorted((limit, other), key=lambda value: float("inf") if value is None else value)
    return ordered[0], ordered[1]


@given(COSTS, QUALITIES, st.tuples(LIMITS, LIMITS), st.tuples(LIMITS, LIMITS))
def test_a_bigger_budget_never_buys_a_worse_network(
    costs: list[tuple[float, float]],
    qualities: list[float | None],
    latencies: tuple[float | None, float | None],
    memories: tuple[float | None, float | None],
) -> None:
    bundle, profile = bundle_with(qualities), profile_of(costs)
    low_ms, high_ms = at_least(*latencies)
    low_mb, high_mb = at_least(*memories)
    small, large = Budget(latency_ms=low_ms, memory_mb=low_mb), Budget(latency_ms=high_ms, memory_mb=high_mb)
    assert quality_bought(bundle, profile, small) <= quality_bought(bundle, profile, large)


@given(COSTS, QUALITIES)
def test_every_sub_network_is_chosen_or_rejected_once(
    costs: list[tuple[float, float]], qualities: list[float | None]
) -> None:
    bundle, profile = bundle_with(qualities), profile_of(costs)
    try:
        chosen = select(bundle, profile, Budget())
    except BudgetError:
        return
    named = [chosen.subnetwork, *(lost.subnetwork for lost in chosen.rejected)]
    assert sorted(named) == sorted(IDS)


def test_the_pareto_front_holds_what_nothing_beats() -> None:
    points = [("a", 0.9, 10.0), ("b", 0.8, 5.0), ("c", 0.8, 6.0), ("d", 0.7, 5.0), ("e", 0.95, 20.0)]
    assert pareto_front(points) == {"a", "b", "e"}


def test_what_another_runtime_measured_is_nothing_to_choose_from() -> None:
    with pytest.raises(ProfileError, match=r"the profile: expected a profile measured by edgebert in Python, found"):
        select(BUNDLE, in_a_browser(PROFILE), Budget(latency_ms=20))
