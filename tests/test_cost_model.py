import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.cost_model import Latency, predict_ms


def latency(length: int, p50_ms: float, batch_size: int = 1) -> Latency:
    return Latency(
        batch_size=batch_size,
        length=length,
        runs=100,
        p50_ms=p50_ms,
        p90_ms=p50_ms * 1.1,
        p95_ms=p50_ms * 1.2,
        p99_ms=p50_ms * 1.5,
        p50_ci95_ms=(p50_ms, p50_ms),
    )


MEASURED = [latency(16, 1.0), latency(64, 4.0), latency(128, 10.0), latency(16, 3.0, 4), latency(128, 50.0, 4)]


@pytest.mark.parametrize(
    ("length", "batch_size", "expected"),
    [(16, 1, 1.0), (64, 1, 4.0), (40, 1, 2.5), (96, 1, 7.0), (2, 1, 1.0), (128, 4, 50.0), (16, 2, 1.0 + 2.0 / 3)],
)
def test_measured_shapes_are_kept_and_others_lie_on_the_line(length: int, batch_size: int, expected: float) -> None:
    assert predict_ms(MEASURED, length=length, batch_size=batch_size) == pytest.approx(expected)


@pytest.mark.parametrize(("length", "batch_size"), [(129, 1), (16, 5)])
def test_nothing_is_promised_beyond_what_was_measured(length: int, batch_size: int) -> None:
    assert predict_ms(MEASURED, length=length, batch_size=batch_size) is None


@pytest.mark.parametrize(("percentile", "factor"), [(1, 1.0), (50, 1.0), (51, 1.1), (90, 1.1), (95, 1.2), (96, 1.5)])
def test_a_percentile_that_was_not_measured_costs_as_the_next_higher(percentile: float, factor: float) -> None:
    assert predict_ms(MEASURED, length=16, percentile=percentile) == pytest.approx(factor)


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 4), st.sampled_from([50, 90, 95, 99]))
def test_a_longer_input_never_costs_less(one: int, other: int, batch_size: int, percentile: int) -> None:
    short, long = (
        predict_ms(MEASURED, length=length, batch_size=batch_size, percentile=percentile)
        for length in sorted((one, other))
    )
    assert short is not None
    assert long is not None
    assert short <= long + 1e-9
