import msgspec
import numpy as np
import pytest
from fake_trials import measurement
from hypothesis import given
from hypothesis import strategies as st

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.latency_statistics import interval_share, is_known, latency_of, median_interval, profiled_subnet
from edgebert.measuring.profile_settings import ProfileSettings, Shape, settings_for
from edgebert.measuring.trial import Numerics
from profiles import way

SETTINGS = settings_for(Bundle.load(), lengths=[8, 16])


def test_the_interval_of_the_median_holds_it() -> None:
    samples = [float(value) for value in range(101)]
    low, high = median_interval(samples)
    assert 35 < low < 50 < high < 65
    assert median_interval([3.0]) == (3.0, 3.0)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=200))
def test_percentiles_rise_and_the_interval_holds_the_median(samples: list[float]) -> None:
    row = latency_of(Shape(batch_size=2, length=8), samples)
    assert (row.batch_size, row.length, row.runs) == (2, 8, len(samples))
    assert row.p50_ms <= row.p90_ms <= row.p95_ms <= row.p99_ms
    assert row.p50_ci95_ms[0] <= row.p50_ms <= row.p50_ci95_ms[1]
    assert interval_share(samples) >= 0


def test_an_interval_of_95_percent_holds_the_true_median_so_often() -> None:
    random = np.random.default_rng(0)
    intervals = [median_interval(random.exponential(size=41).tolist()) for _ in range(500)]
    held = sum(low <= np.log(2) <= high for low, high in intervals)
    assert 0.93 <= held / 500 <= 0.99


def settings_of(rounds: int) -> ProfileSettings:
    return msgspec.structs.replace(SETTINGS, min_rounds=rounds)


@pytest.mark.parametrize(
    ("medians_ms", "known"),
    [([1.0, 1.0, 1.0], True), ([1.0, 1.6, 1.0], False), ([1.0, 1.6, 1.0, 1.0], True), ([1.0, 1.05, 1.09], True)],
)
def test_rounds_enough_must_agree(medians_ms: list[float], known: bool) -> None:
    rounds = [measurement(ms, 2 * ms) for ms in medians_ms]
    assert is_known(rounds, settings_of(3)) == known


def test_a_cost_is_the_median_over_rounds_and_a_peak_the_most() -> None:
    rounds = [
        msgspec.structs.replace(measurement(1.0, 2.0), load_ms=load_ms, peak_memory_mb=peak_mb)
        for load_ms, peak_mb in ((30.0, 20.0), (50.0, 25.0), (31.0, 21.0))
    ]
    entry = profiled_subnet("a", way(), rounds, SETTINGS, new_shapes_cost=False)
    assert (entry.id, entry.way, entry.load_ms, entry.peak_memory_mb) == ("a", way(), 31.0, 25.0)
    assert [(row.length, row.runs, row.p50_ms) for row in entry.latency] == [(8, 90, 1.0), (16, 90, 2.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        Numerics(drift=2.0, tolerance=1.0, wrong_answers=0),
        Numerics(drift=0.0, tolerance=1.0, wrong_answers=1),
    ],
)
def test_one_round_with_wrong_numbers_is_enough(wrong: Numerics) -> None:
    rounds = [measurement(1.0, 2.0), measurement(1.0, 2.0, numerics=wrong), measurement(1.0, 2.0)]
    entry = profiled_subnet("a", way(), rounds, SETTINGS, new_shapes_cost=False)
    assert (entry.numerics_ok, entry.numerics) == (False, wrong)


@pytest.mark.parametrize(
    ("new_shapes_cost", "new_shape_ms", "pad_to"),
    [
        (True, 1.1, (8, 16)),
        (True, 0.9, ()),
        (False, 9.0, ()),
    ],
)
def test_inputs_are_padded_where_a_new_length_costs_more_than_half_a_request(
    new_shapes_cost: bool, new_shape_ms: float, pad_to: tuple[int, ...]
) -> None:
    rounds = [measurement(1.0, 2.0, new_shape_ms=new_shape_ms)]
    assert profiled_subnet("a", way(), rounds, SETTINGS, new_shapes_cost=new_shapes_cost).pad_to == pad_to


def test_inputs_of_networks_of_fixed_shapes_are_always_padded() -> None:
    fixed = msgspec.structs.replace(way(engine="openvino"), options=FixedShapes(SETTINGS.lengths, (1,)).options)
    rounds = [measurement(1.0, 2.0, new_shape_ms=0.0)]
    assert profiled_subnet("a", fixed, rounds, SETTINGS, new_shapes_cost=True).pad_to == SETTINGS.lengths
