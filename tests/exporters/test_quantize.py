import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgebert.exporters.quantize import InputRounding, Range, quantize_rows


@given(arrays(np.float32, (5, 7), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_number_moves_by_half_a_step_at_most(matrix: np.ndarray) -> None:
    rows = quantize_rows(matrix)
    assert rows.values.dtype == np.int8
    assert np.abs(rows.values).max() <= 127
    assert (np.abs(rows.dequantized() - matrix) <= rows.scales[:, None] * 0.5001).all()


@given(arrays(np.float32, (5, 7), elements=st.floats(-1e4, 1e4, width=32)))
def test_with_7_bits_no_two_products_with_uint8_saturate(matrix: np.ndarray) -> None:
    rows = quantize_rows(matrix, reduce_range=True)
    assert 2 * 255 * np.abs(rows.values.astype(np.int64)).max() < 2**15
    assert (np.abs(rows.dequantized() - matrix) <= rows.scales[:, None] * 0.5001).all()


def test_a_row_of_zeros_stays_zero() -> None:
    rows = quantize_rows(np.zeros((2, 3), dtype=np.float32))
    assert np.isfinite(rows.scales).all()
    assert not rows.dequantized().any()


def test_a_prefix_has_the_same_scales_as_the_whole() -> None:
    matrix = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    np.testing.assert_array_equal(quantize_rows(matrix[:3]).values, quantize_rows(matrix).values[:3])


@pytest.mark.parametrize("values", [[-1.0, 0.3, 2.0], [0.5, 3.0], [-4.0, -0.1], [0.0, 0.0]])
def test_rounding_keeps_zero_and_moves_by_half_a_step(values: list[float]) -> None:
    x = np.array([*values, 0.0], dtype=np.float32)
    step = (max(*values, 0) - min(*values, 0)) / 255
    rounded = Range.of(x).rounded(x)
    assert rounded[-1] == 0
    assert np.abs(rounded - x).max() <= step  # half a step, and half a step of the zero point


def test_what_lies_outside_a_range_becomes_its_end() -> None:
    found = Range(-1.0, 2.0).rounded(np.array([-5, 5], dtype=np.float32))
    np.testing.assert_allclose(found, [-1, 2], atol=3 / 255)


@pytest.mark.parametrize("given", [None, Range(-3.0, 3.0)])
def test_outliers_stay_as_they_are_and_do_not_widen_the_range(given: Range | None) -> None:
    x = np.random.default_rng(0).uniform(-3, 3, (2, 5, 8)).astype(np.float32)
    x[..., [1, 6]] *= 1000
    found = InputRounding((1, 6), given).rounded(x)
    np.testing.assert_array_equal(found[..., [1, 6]], x[..., [1, 6]])
    others = [0, 2, 3, 4, 5, 7]
    expected = (given or Range.of(x[..., others])).rounded(x[..., others])
    np.testing.assert_array_equal(found[..., others], expected)
    assert np.abs(found - x).max() <= 6 / 255
