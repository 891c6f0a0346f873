import math

import numpy as np
import plain_metrics
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.tasks import metrics

# Few different values, so that many are equal.
VALUES = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=30)


@st.composite
def two_series(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    first = draw(VALUES)
    return first, draw(st.lists(st.integers(-5, 5).map(float), min_size=len(first), max_size=len(first)))


@st.composite
def scored(draw: st.DrawFn) -> tuple[list[float], list[bool]]:
    scores = draw(VALUES)
    return scores, draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))


def test_wilsons_interval_is_the_published_one() -> None:
    # The figures of Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(0, 20)[0] == 0.0
    assert metrics.wilson_interval(20, 20)[1] == 1.0


@given(two_series())
def test_correlations_are_those_of_their_definitions(series: tuple[list[float], list[float]]) -> None:
    first, second = (np.array(values) for values in series)
    assert metrics.pearson(first, second) == pytest.approx(plain_metrics.pearson(*series), abs=1e-9)
    assert metrics.spearman(first, second) == pytest.approx(plain_metrics.spearman(*series), abs=1e-9)


def test_a_constant_series_correlates_with_nothing() -> None:
    assert metrics.pearson(np.ones(5), np.arange(5.0)) == 0.0
    assert metrics.spearman(np.arange(5.0), np.ones(5)) == 0.0
    assert metrics.pearson(np.ones(1), np.ones(1)) == 0.0


def test_a_rank_correlation_sees_the_order_alone() -> None:
    values = np.array([0.1, 0.5, 0.2, 0.9])
    assert metrics.spearman(values, np.exp(10 * values)) == pytest.approx(1.0)
    assert metrics.spearman(values, -values) == pytest.approx(-1.0)


@given(scored())
def test_average_precision_is_that_of_its_definition(case: tuple[list[float], list[bool]]) -> None:
    scores, wanted = case
    found = metrics.average_precision(np.array(scores), np.array(wanted))
    expected = plain_metrics.average_precision(scores, wanted)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_average_precision_of_a_perfect_order_is_one() -> None:
    assert metrics.average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 1.0
    assert metrics.average_precision(np.array([0.9, 0.8, 0.1]), np.array([False, False, True])) == pytest.approx(1 / 3)


def test_labels_that_no_sample_has_do_not_count() -> None:
    scores = np.array([[0.9, 0.3], [0.1, 0.4]])
    assert metrics.mean_average_precision(scores, np.array([[True, False], [False, False]])) == 1.0
    assert metrics.mean_average_precision(scores, np.zeros((2, 2), bool)) == 0.0


def test_a_ratio_of_nothing_is_none_gained() -> None:
    assert metrics.ratio(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 0.5
    assert metrics.ratio(np.zeros(3), np.zeros(3)) == 0.0
    assert metrics.ratio_interval(np.zeros(3), np.zeros(3)) == (0.0, 1.0)


def test_the_interval_of_a_share_is_that_of_its_binomial() -> None:
    """Where one is possible for each sample, a ratio is a share."""
    gained = np.array([1.0] * 300 + [0.0] * 100)
    low, high = metrics.ratio_interval(gained, np.ones(400))
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=1e-3)


@given(st.integers(4, 400), st.floats(-0.99, 0.99))
def test_the_interval_of_a_rank_correlation_holds_it(samples: int, value: float) -> None:
    low, high = metrics.spearman_interval(value, samples)
    assert -1 <= low <= value <= high <= 1


def test_too_few_samples_tell_nothing_of_a_rank_correlation() -> None:
    assert metrics.spearman_interval(0.5, 3) == (-1.0, 1.0)
    assert metrics.spearman_interval(1.0, 50) == (1.0, 1.0)
