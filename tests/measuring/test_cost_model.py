from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.measuring.cost_model import CostModel, Latency


def latency(length: int, p50_ms: float, batch_size: int = 1) -> Latency:
    return Latency(
        batch_size=batch_size,
        length=length,
        runs=100,
        runs_per_sample=1,
        p50_ms=p50_ms,
        p90_ms=p50_ms * 1.1,
        p95_ms=p50_ms * 1.2,
        p99_ms=p50_ms * 1.5,
        p50_ci95_ms=(p50_ms, p50_ms),
    )


GRID = [(batch, length) for batch in (1, 4) for length in (16, 64, 128)]
MEASURED = [latency(n, ms, b) for (b, n), ms in zip(GRID, (1.0, 4.0, 10.0, 3.0, 16.0, 50.0), strict=True)]
MODEL = CostModel(MEASURED)


def of_an_encoder(request: float, row: float, token: float, pair: float) -> Callable[[int, int], float]:
    return lambda batch, length: request + batch * (row + length * (token + length * pair))


@pytest.mark.parametrize(
    ("length", "batch_size", "expected"),
    [(16, 1, 1.0), (64, 1, 4.0), (40, 1, 2.5), (96, 1, 7.0), (2, 1, 1.0), (128, 4, 50.0), (16, 2, 1.0 + 2.0 / 3)],
)
def test_measured_shapes_are_kept_and_the_bound_of_others_is_on_the_line(
    length: int, batch_size: int, expected: float
) -> None:
    assert MODEL.bound_ms(length, batch_size) == pytest.approx(expected)


@pytest.mark.parametrize(("length", "batch_size"), [(129, 1), (16, 5)])
def test_nothing_is_promised_beyond_what_was_measured(length: int, batch_size: int) -> None:
    assert MODEL.bound_ms(length, batch_size) is None
    assert MODEL.expected_ms(length, batch_size) > 0


@pytest.mark.parametrize("row", MEASURED)
@pytest.mark.parametrize("percentile", [50, 90, 95, 99])
def test_what_was_measured_is_expected(row: Latency, percentile: float) -> None:
    found = MODEL.expected_ms(row.length, row.batch_size, percentile)
    assert found == pytest.approx(row.at_percentile(percentile))


@pytest.mark.parametrize(("percentile", "factor"), [(1, 1.0), (50, 1.0), (51, 1.1), (90, 1.1), (95, 1.2), (96, 1.5)])
def test_a_percentile_that_was_not_measured_costs_as_the_next_higher(percentile: float, factor: float) -> None:
    assert MODEL.bound_ms(16, percentile=percentile) == pytest.approx(factor)
    assert MODEL.expected_ms(16, percentile=percentile) == pytest.approx(factor)


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 4), st.sampled_from([50, 90, 95, 99]))
def test_a_longer_input_never_has_a_lower_bound(one: int, other: int, batch_size: int, percentile: int) -> None:
    short, long = (MODEL.bound_ms(length, batch_size, percentile) for length in sorted((one, other)))
    assert short is not None
    assert long is not None
    assert short <= long + 1e-9


costs = st.floats(0, 1)


@given(costs, costs, st.floats(1e-3, 1), costs, st.integers(2, 256), st.integers(1, 8))
def test_the_cost_of_an_encoder_is_found_exactly_and_is_below_the_bound(
    request: float, row: float, token: float, pair: float, length: int, batch_size: int
) -> None:
    cost = of_an_encoder(request, row, token, pair)
    model = CostModel([latency(n, cost(b, n), b) for b in (1, 8) for n in (16, 64, 128)])
    expected, bound = model.expected_ms(length, batch_size), model.bound_ms(length, batch_size)
    assert expected == pytest.approx(cost(batch_size, length), rel=1e-3)
    assert bound is None or bound >= expected * (1 - 1e-3)


def test_padded_inputs_cost_what_the_next_length_costs() -> None:
    model = CostModel(MEASURED, pad_to=(16, 64, 128))
    assert model.bound_ms(17) == model.bound_ms(64) == pytest.approx(4.0)
    assert model.expected_ms(17) == pytest.approx(4.0)
    assert model.bound_ms(129) is None


def test_networks_of_fixed_shapes_cost_what_the_parts_of_a_batch_cost() -> None:
    model = CostModel(MEASURED, pad_to=(16, 64, 128), fixed=FixedShapes((16, 64, 128), (1, 4)))
    assert model.bound_ms(17) == pytest.approx(4.0)
    assert model.bound_ms(64, 3) == model.expected_ms(20, 3) == pytest.approx(12.0)
    assert model.expected_ms(16, 6) == pytest.approx(3.0 + 2 * 1.0)
    assert model.bound_ms(128, 4) == pytest.approx(50.0)
    assert model.bound_ms(16, 6) is model.bound_ms(129) is None


def test_one_measured_shape_is_enough() -> None:
    model = CostModel([latency(16, 2.0)])
    assert model.expected_ms(16) == model.bound_ms(16) == pytest.approx(2.0)
    assert model.expected_ms(32) > 2.0
