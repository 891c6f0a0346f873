"""The search without torch: parameters, W, fronts, predictions, and what interval, epsilon and budget do."""

import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from transformers import BertConfig, BertForSequenceClassification

from edgebert.elastic.bort.architecture import Architecture, SharedSizes, Space
from edgebert.elastic.bort.architecture_search import (
    Approximation,
    ArchitectureSearch,
    Measurements,
    SearchResult,
    SearchSettings,
)
from edgebert.elastic.bort.estimates import PredictionError, cross_validated, predict_ms
from edgebert.elastic.bort.extraction import Candidate, Goal, maximum_point, undominated, w_coefficient
from edgebert.errors import BudgetError, TrainingError

PAPER = Space()
SIZES = SharedSizes(vocabulary=30522, positions=512, types=2, labels=2)
LARGEST = Architecture(12, 16, 1024, 3072)


def some_ms(one: Architecture, noise: float = 0.02) -> float:
    """Return the latency of a made-up device, whose measurements differ by some per cent."""
    products = one.depth * (4 * one.hidden**2 + 2 * one.hidden * one.ffn) / 2e6
    exact = 0.5 + products + 0.2 * one.depth + 0.03 * one.depth * one.heads
    return exact * math.exp(random.Random(str(one)).gauss(0, noise))


def some_error(one: Architecture) -> float:
    exact = 0.5 * (one.depth / 12) ** -0.2 * (one.hidden / 1024) ** -0.4 * (one.ffn / 3072) ** -0.1
    return exact * math.exp(random.Random(f"error {one}").gauss(0, 0.01))


def true_candidates(space: Space = PAPER) -> list[Candidate]:
    return [
        Candidate(one, one.parameters(SIZES), some_ms(one), some_error(one), measured=True, trained=True)
        for one in space.architectures()
    ]


def searched(
    goal: Goal | None = None, approximation: Approximation | None = None, space: Space = PAPER
) -> SearchResult:
    def measure(some: Sequence[Architecture]) -> Measurements:
        return Measurements({one: some_ms(one) for one in some}, "made up")

    settings = SearchSettings("made up", space, goal or Goal(), approximation or Approximation())
    return ArchitectureSearch(settings, SIZES, measure, some_error).run()


def test_the_paper_has_300_architectures() -> None:
    everyone = PAPER.architectures()
    assert len(set(everyone)) == 300
    assert maximum_point(everyone) == LARGEST
    assert all(one.hidden % one.heads == 0 for one in everyone)


@pytest.mark.parametrize("name", ["d4-a8-h1024-i768", "bort-d4-a8-h1024-i768"])
def test_a_name_is_read(name: str) -> None:
    assert Architecture.parse(name) == Architecture(4, 8, 1024, 768)
    assert str(Architecture.parse(name)) == "bort-d4-a8-h1024-i768"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d4-a8-h1024", "expected an architecture such as d4-a8-h1024-i768, found 'd4-a8-h1024'"),
        ("d0-a8-h1024-i768", "expected an architecture such as"),
        ("d4-a7-h1024-i768", "expected heads that divide the hidden size 1024, found 7"),
    ],
)
def test_a_wrong_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Architecture.parse(name)


def test_a_space_without_a_choice_is_refused() -> None:
    with pytest.raises(TrainingError, match="expected a space of two architectures or more, found 0"):
        Space(heads=(5,)).architectures()
    with pytest.raises(TrainingError, match="an epsilon from 0 to below 1"):
        Approximation(epsilon=1.0)


@pytest.mark.parametrize("one", [Architecture(1, 2, 8, 12), Architecture(3, 4, 16, 8)], ids=str)
def test_parameters_are_those_of_the_tensors(one: Architecture) -> None:
    sizes = SharedSizes(vocabulary=11, positions=7, types=2, labels=3)
    config = BertConfig(
        vocab_size=11,
        hidden_size=one.hidden,
        num_hidden_layers=one.depth,
        num_attention_heads=one.heads,
        intermediate_size=one.ffn,
        max_position_embeddings=7,
        num_labels=3,
    )
    tensors = BertForSequenceClassification(config).state_dict().values()
    assert one.parameters(sizes) == sum(tensor.numel() for tensor in tensors)


def test_bort_has_75_million_parameters_and_56_where_two_numbers_are_swapped() -> None:
    """The released tensors are an encoder without pooler and head: 50,265 tokens, 512 positions, no types."""

    def encoder(one: Architecture) -> int:
        whole = one.parameters(SharedSizes(vocabulary=50265, positions=512, types=0, labels=0))
        return whole - one.hidden * (one.hidden + 1)

    assert encoder(Architecture(4, 8, 1024, 768)) == 75_106_304
    swapped = Architecture(4, 8, 768, 1024)
    language_model_head = 768 * 769 + 2 * 768 + 50265
    with_pooler = swapped.parameters(SharedSizes(vocabulary=50265, positions=512, types=0, labels=0))
    assert round((with_pooler + language_model_head) / 1e6) == 56  # the published figure is 56.1


def test_the_maximum_point_has_no_w_and_whatever_is_smaller_has_some() -> None:
    candidates = true_candidates()
    maximum = next(one for one in candidates if one.architecture == LARGEST)
    assert w_coefficient(maximum, maximum) == 0
    assert all(w_coefficient(one, maximum) > 0 for one in candidates if one.parameters < maximum.parameters)


def test_w_rises_as_parameters_latency_and_error_fall() -> None:
    maximum = Candidate(LARGEST, 300, 30.0, 0.2, measured=True, trained=True)
    one = Candidate(Architecture(4, 8, 512, 512), 100, 10.0, 0.5, measured=True, trained=True)
    assert w_coefficient(one, maximum) == pytest.approx((200 / 300) * (20 / 30) / 0.5)
    for better in ({"parameters": 90}, {"ms": 9.0}, {"error": 0.4}):
        changed = Candidate(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **better})
        assert w_coefficient(changed, maximum) > w_coefficient(one, maximum)


def test_the_front_is_what_nothing_beats() -> None:
    candidates = true_candidates()
    front = undominated(candidates)

    def numbers(one: Candidate) -> tuple[float, ...]:
        return one.ms, one.parameters, one.error

    for one, other in itertools.permutations(front, 2):
        assert any(mine < theirs for mine, theirs in zip(numbers(one), numbers(other), strict=True))
    for one in candidates:
        assert one in front or any(
            all(a <= b for a, b in zip(numbers(better), numbers(one), strict=True)) for better in front
        )
    assert [one.ms for one in front] == sorted(one.ms for one in front)


def test_latencies_are_predicted_from_a_few() -> None:
    everyone = PAPER.architectures()
    known = random.Random(3).sample(everyone, 48)
    measured_ms = {one: some_ms(one) for one in everyone}
    others = [one for one in everyone if one not in known]
    accuracy = PredictionError.of(predict_ms(others, {one: measured_ms[one] for one in known}), measured_ms)
    assert accuracy.count == 252
    assert accuracy.median < 0.03
    assert cross_validated({one: some_ms(one) for one in known}).median < 0.05


def test_a_measurement_in_a_slow_stretch_does_not_bend_the_rest() -> None:
    known = random.Random(3).sample(PAPER.architectures(), 48)
    slow = {one: some_ms(one) * (2.5 if number % 12 == 0 else 1) for number, one in enumerate(known)}
    predicted = predict_ms(PAPER.architectures(), slow)
    errors = [abs(ms / some_ms(one, noise=0) - 1) for one, ms in predicted.items()]
    assert np.median(errors) < 0.05


def test_a_search_finds_nearly_the_best_and_trains_few() -> None:
    found = searched()
    candidates = {one.architecture: one for one in true_candidates()}
    maximum = candidates[LARGEST]
    best = max(w_coefficient(one, maximum) for one in candidates.values())
    assert w_coefficient(candidates[found.architecture], maximum) > 0.95 * best
    assert found.settled
    assert sum(row.candidate.measured for row in found.rows) <= 48 + 12 + 5
    assert sum(row.candidate.trained for row in found.rows) < 60
    assert found.held_out is not None
    assert found.held_out.median < 0.05
    chosen = next(row for row in found.rows if row.id == found.chosen)
    assert chosen.candidate.measured
    assert chosen.candidate.trained


def test_a_smaller_epsilon_and_interval_train_more() -> None:
    def trained(**options: float) -> int:
        found = searched(approximation=Approximation(most=300, **options))  # type: ignore[arg-type]
        return sum(row.candidate.trained for row in found.rows)

    assert trained(epsilon=0.2) < trained(epsilon=0.0)
    assert trained(epsilon=0.2, interval=60) < trained(epsilon=0.2)
    assert not searched(approximation=Approximation(interval=60, epsilon=0.0, most=6)).settled


def test_with_a_budget_the_lowest_error_within_it_is_taken() -> None:
    found = searched(Goal(latency_ms=10.0), Approximation(interval=1, most=300))
    within = [one for one in true_candidates() if one.ms <= 10]
    assert found.architecture == min(within, key=lambda one: one.error).architecture
    with pytest.raises(
        BudgetError, match=r"no architecture of the space meets 0.5 ms; the nearest is bort-d2-"
    ) as miss:
        searched(Goal(latency_ms=0.5))
    assert miss.value.nearest.ms > 0.5


def test_a_search_of_a_small_space_measures_and_trains_all_of_it() -> None:
    found = searched(space=Space(depths=(1, 2), heads=(4,), hidden=(512,), ffn=(256,)))
    assert all(row.candidate.measured for row in found.rows)
    assert found.held_out is None
    assert found.architecture == Architecture(1, 4, 512, 256)
