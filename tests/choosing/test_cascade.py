import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.choosing.cascade import Cascade, CascadeCounts, CascadeLimits, best_cascade
from edgebert.choosing.menu import Option
from edgebert.inputs.bundle import Answers, Bundle, SubnetAnswers
from edgebert.measuring.device_profile import ProfiledSubnet
from profiles import entry

NAMES = ("a", "b", "c")


def answers_of(*networks: tuple[Sequence[float], str]) -> Answers:
    """Return the answers of networks a, b, c to as many samples as they give confidences for, marked 1 where right."""
    return counted(*((confidences, [(int(mark), 1) for mark in marks]) for confidences, marks in networks))


def counted(*networks: tuple[Sequence[float], Sequence[tuple[int, int]]]) -> Answers:
    """Return the answers of networks a, b, c: of each what was gained and what was possible."""
    subnetworks = []
    for name, (confidences, counts) in zip(NAMES, networks, strict=False):
        gained, possible = zip(*counts, strict=True)
        subnetworks.append(SubnetAnswers(id=name, confidences=tuple(confidences), gained=gained, possible=possible))
    samples = len(networks[0][1])
    return Answers(schema_version=Answers.VERSION, dataset="x", samples=samples, subnetworks=tuple(subnetworks))


def quality(one: SubnetAnswers) -> float:
    return sum(one.gained) / max(sum(one.possible), 1)


def option(answers: Answers, subnet_id: str, ms: float, memory_mb: float = 30.0, bound_ms: float = 0.0) -> Option:
    (one,) = (one for one in answers.subnetworks if one.id == subnet_id)
    return Option(entry(subnet_id, ms, memory_mb), quality(one), ms, bound_ms or 2 * ms)


def reference_of(answers: Answers) -> SubnetAnswers:
    """Return the best network, of equals the last: what cascades are compared with here."""
    return max(reversed(answers.subnetworks), key=quality)


def best(answers: Answers, options: Sequence[Option], least: float, **limits: float) -> Cascade | None:
    reference = reference_of(answers)
    tolerance = quality(reference) - least
    return best_cascade(answers, options, CascadeLimits(reference=reference.id, tolerance=tolerance, **limits))


def outcome(answers: Answers, first_id: str, second_id: str, threshold: float) -> tuple[float, float]:
    """Return the quality of two networks on the evaluation data, and how often the second is asked, of 1."""
    counts = CascadeCounts(answers)
    shares, qualities = counts.after(first_id, [threshold])
    return float(qualities[counts.places[second_id], 0]), float(shares[0])


# Network a is wrong where it is unsure, and once where it is not; b is wrong once, and c never.
ANSWERS = answers_of(
    ([0.95, 0.60, 0.90, 0.70, 0.99], "10101"), ([0.9] * 5, "11110"), ([0.8, 0.8, 0.8, 0.8, 0.8], "11111")
)
OPTIONS = [option(ANSWERS, "a", 1.0), option(ANSWERS, "b", 4.0), option(ANSWERS, "c", 10.0)]


def test_the_second_network_is_asked_where_the_first_is_unsure() -> None:
    found = best(ANSWERS, OPTIONS, 1.0)
    assert found is not None
    assert (found.first, found.second) == (OPTIONS[0], OPTIONS[1])
    assert (found.threshold, found.share_second, found.quality) == (0.90, 0.4, 1.0)
    assert (found.expected_ms, found.bound_ms) == (pytest.approx(1.0 + 0.4 * 4.0), 2.0 + 8.0)
    assert found.memory_bound_mb == 60.0


def test_a_confidence_equal_to_the_threshold_is_enough() -> None:
    assert outcome(ANSWERS, "a", "b", 0.90) == (1.0, 0.4)
    assert outcome(ANSWERS, "a", "b", 0.91) == (1.0, 0.6)
    assert outcome(ANSWERS, "a", "b", 0.70) == (0.8, 0.2)


def test_where_one_network_is_cheaper_there_is_no_cascade() -> None:
    assert best(ANSWERS, OPTIONS, 0.6) is None
    assert best(ANSWERS, OPTIONS, 0.0) is None
    assert best(ANSWERS, [OPTIONS[0], option(ANSWERS, "b", 1.2)], 0.8) is None
    assert best(ANSWERS, OPTIONS[:1], 0.9) is None
    assert best(ANSWERS, [], 0.0) is None


def test_a_quality_that_none_has_gives_none() -> None:
    assert best(ANSWERS, OPTIONS, 1.1) is None


def test_the_cost_of_both_is_within_the_budget() -> None:
    assert best(ANSWERS, OPTIONS, 1.0, latency_ms=10.0) == best(ANSWERS, OPTIONS, 1.0)
    assert best(ANSWERS, OPTIONS, 1.0, latency_ms=9.9) is None


def test_a_single_network_over_the_budget_does_not_count() -> None:
    options = [option(ANSWERS, "a", 1.0), option(ANSWERS, "b", 4.0), option(ANSWERS, "c", 2.0, bound_ms=50.0)]
    assert best(ANSWERS, options, 1.0) is not None  # 1.0 + 0.4 * 2.0 is below 2.0
    within = best(ANSWERS, options, 1.0, latency_ms=20.0)
    assert within is not None
    assert within.second.entry.id == "b"


def test_both_networks_are_within_the_memory() -> None:
    assert best(ANSWERS, OPTIONS, 1.0, memory_mb=60.0) == best(ANSWERS, OPTIONS, 1.0)
    assert best(ANSWERS, OPTIONS, 1.0, memory_mb=59.0) is None


def test_two_ways_to_run_one_network_are_no_cascade() -> None:
    answers = answers_of(([0.9, 0.6], "10"))
    assert best(answers, [option(answers, "a", 1.0), option(answers, "a", 2.0)], 0.4) is None
    both_ways = [option(ANSWERS, "a", 1.0), option(ANSWERS, "b", 5.0), option(ANSWERS, "b", 4.0)]
    found = best(ANSWERS, both_ways, 1.0)
    assert found is not None
    assert found.second is both_ways[2]


def test_equal_in_cost_the_one_that_asks_less_wins_then_the_smaller() -> None:
    answers = answers_of(([0.9, 0.9, 0.6, 0.6], "1100"), ([0.9, 0.9, 0.9, 0.6], "1110"), ([0.9] * 4, "1111"))
    asks_less = [option(answers, "a", 1.0), option(answers, "b", 2.0), option(answers, "c", 4.0)]
    found = best(answers, asks_less, 1.0)  # 1 + 1/2 x 4 by a, 2 + 1/4 x 4 by b
    assert found is not None
    assert (found.first.entry.id, found.share_second, found.expected_ms) == ("b", 0.25, 3.0)
    same = answers_of(([0.9, 0.6], "10"), ([0.9, 0.9], "11"), ([0.9, 0.9], "11"))
    large_first = [option(same, "a", 1.0), option(same, "b", 4.0, 50.0), option(same, "c", 4.0, 20.0)]
    found = best(same, large_first, 1.0)
    assert found is not None
    assert found.second.entry.id == "c"


def test_networks_without_answers_are_in_no_cascade() -> None:
    stranger = Option(entry("stranger", 0.1), 0.1, 0.1, 0.1)
    assert best(ANSWERS, [stranger, *OPTIONS], 1.0) == best(ANSWERS, OPTIONS, 1.0)
    assert best(ANSWERS, [stranger], 0.9) is None


CONFIDENCES = st.integers(0, 10_000).map(lambda number: number / 10_000)


@st.composite
def some_answers(draw: st.DrawFn) -> Answers:
    samples = draw(st.integers(1, 12))
    confidences = st.lists(CONFIDENCES, min_size=samples, max_size=samples)
    counts = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: (min(pair), max(pair)))
    counted_samples = st.lists(counts, min_size=samples, max_size=samples)
    return counted(*(draw(st.tuples(confidences, counted_samples)) for _ in NAMES))


@st.composite
def some_options(draw: st.DrawFn, answers: Answers) -> list[Option]:
    costs = draw(st.lists(st.integers(1, 20), min_size=len(NAMES), max_size=len(NAMES)))
    return [option(answers, name, float(ms)) for name, ms in zip(NAMES, costs, strict=True)]


def by_hand(answers: Answers, first_id: str, second_id: str, threshold: float) -> tuple[float, float]:
    """Count, sample after sample, what two networks gain of what is possible, and how often the second is asked."""
    networks = {one.id: one for one in answers.subnetworks}
    gained = possible = asked = 0
    for sample, confidence in enumerate(networks[first_id].confidences):
        asked += confidence < threshold
        answering = networks[second_id if confidence < threshold else first_id]
        gained += answering.gained[sample]
        possible += answering.possible[sample]
    return gained / max(possible, 1), asked / answers.samples


@given(some_answers(), st.one_of(CONFIDENCES, st.integers(0, 101).map(lambda number: number / 100)))
def test_outcomes_are_a_count(answers: Answers, threshold: float) -> None:
    for first, second in itertools.permutations(NAMES, 2):
        assert outcome(answers, first, second, threshold) == by_hand(answers, first, second, threshold)


def error_by_hand(answers: Answers, first_id: str, second_id: str, threshold: float) -> float:
    """Return the standard error of what two networks lose against the reference, sample after sample."""
    networks, reference = {one.id: one for one in answers.subnetworks}, reference_of(answers)
    answering = [
        networks[second_id if confidence < threshold else first_id] for confidence in networks[first_id].confidences
    ]
    moved = np.zeros(answers.samples)
    both = zip((1, -1), ([reference] * answers.samples, answering), strict=True)
    for sign, by in both:
        gained = np.array([one.gained[sample] for sample, one in enumerate(by)])
        possible = np.array([one.possible[sample] for sample, one in enumerate(by)])
        ratio = gained.sum() / max(possible.sum(), 1)
        moved += sign * (gained - ratio * possible) / (max(possible.sum(), 1) / answers.samples)
    return float(np.sqrt((moved**2).sum()) / answers.samples)


@given(some_answers(), CONFIDENCES)
def test_errors_are_those_of_paired_samples(answers: Answers, threshold: float) -> None:
    counts = CascadeCounts(answers)
    for first, second in itertools.permutations(NAMES, 2):
        errors = counts.errors(first, [threshold], reference_of(answers).id)
        expected = error_by_hand(answers, first, second, threshold)
        assert errors[counts.places[second], 0] == pytest.approx(expected, abs=1e-6)


@given(some_answers())
def test_without_a_threshold_the_first_answers_and_above_one_the_second(answers: Answers) -> None:
    qualities = {one.id: quality(one) for one in answers.subnetworks}
    for first, second in itertools.permutations(NAMES, 2):
        assert outcome(answers, first, second, 0.0) == (qualities[first], 0.0)
        assert outcome(answers, first, second, 1.01) == (qualities[second], 1.0)


@given(st.data())
def test_no_cascade_of_all_is_better(data: st.DataObject) -> None:
    answers = data.draw(some_answers())
    options, least = data.draw(some_options(answers)), data.draw(st.integers(0, answers.samples)) / answers.samples
    limits = {"latency_ms": data.draw(st.sampled_from([math.inf, 10.0, 20.0, 40.0])), "memory_mb": math.inf}
    alone = [one.expected_ms for one in options if one.quality >= least and one.bound_ms <= limits["latency_ms"]]
    costs = []
    for first, second in itertools.permutations(options, 2):
        for threshold in range(1, 101):
            reached, share = by_hand(answers, first.entry.id, second.entry.id, threshold / 100)
            within = first.bound_ms + second.bound_ms <= limits["latency_ms"]
            error = error_by_hand(answers, first.entry.id, second.entry.id, threshold / 100)
            if reached - 1.645 * error >= least - 1e-6 and within and first.expected_ms < second.expected_ms:
                costs.append((first.expected_ms + share * second.expected_ms, share))
    found = best(answers, options, least, **limits)
    if not costs or min(costs)[0] >= min(alone, default=math.inf):
        assert found is None
    else:
        assert found is not None
        assert (found.expected_ms, found.share_second) == min(costs)
        ids = found.first.entry.id, found.second.entry.id
        assert (found.quality, found.share_second) == by_hand(answers, *ids, found.threshold)
        assert found.bound_ms <= limits["latency_ms"]


@given(st.data())
def test_a_lower_quality_never_costs_more(data: st.DataObject) -> None:
    answers = data.draw(some_answers())
    options = data.draw(some_options(answers))

    def cost(least: float) -> float:
        found = best(answers, options, least)
        alone = min((one.expected_ms for one in options if one.quality >= least), default=math.inf)
        return found.expected_ms if found else alone

    costs = [cost(least) for least in np.linspace(0, 1, 9)]
    assert costs == sorted(costs)


def test_a_doubtful_cascade_is_none() -> None:
    """One sample of twenty is lost: more may be on other data."""
    marks = "1" * 19 + "0"
    answers = answers_of(([0.9] * 10 + [0.5] * 10, "1" * 10 + "0" * 10), ([0.9] * 20, marks), ([0.9] * 20, "1" * 20))
    options = [option(answers, "a", 1.0), option(answers, "b", 4.0), option(answers, "c", 10.0)]
    found = best_cascade(answers, options, CascadeLimits(reference="c", tolerance=0.14))
    assert found is not None
    assert (found.second.entry.id, found.loss) == ("b", pytest.approx(0.05))
    assert found.loss_error == pytest.approx(0.0487, abs=1e-4)
    assert found.loss_ci95 == pytest.approx((-0.0455, 0.1455), abs=1e-3)
    # With c as the second it costs more than b alone, which is within that.
    assert best_cascade(answers, options, CascadeLimits(reference="c", tolerance=0.12)) is None


def test_the_builtin_bundle_has_a_cascade_that_loses_little(builtin: Bundle) -> None:
    answers = builtin.answers()
    assert answers is not None
    costs = {subnet.id: subnet.parameters / 1e6 for subnet in builtin.manifest.subnetworks}
    options = [option(answers, subnet_id, ms) for subnet_id, ms in costs.items()]
    most = max(one.quality for one in options)
    found = best(answers, options, most - 0.01)
    assert found is not None
    assert found.loss + 1.645 * found.loss_error <= 0.01
    assert found.loss == pytest.approx(most - found.quality)
    assert (found.quality, found.share_second) == by_hand(
        answers, found.first.entry.id, found.second.entry.id, found.threshold
    )
    assert isinstance(found.first.entry, ProfiledSubnet)
