import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgebert.exporters.quantize import quantize_rows


@given(arrays(np.float32, (5, 7), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_number_moves_by_half_a_step_at_most(matrix: np.ndarray) -> None:
    rows = quantize_rows(matrix)
    assert rows.values.dtype == np.int8
    assert np.abs(rows.values).max() <= 127
    assert (np.abs(rows.dequantized() - matrix) <= rows.scales[:, None] * 0.5001).all()


def test_a_row_of_zeros_stays_zero() -> None:
    rows = quantize_rows(np.zeros((2, 3), dtype=np.float32))
    assert np.isfinite(rows.scales).all()
    assert not rows.dequantized().any()


def test_a_prefix_has_the_same_scales_as_the_whole() -> None:
    matrix = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    np.testing.assert_array_equal(quantize_rows(matrix[:3]).values, quantize_rows(matrix).values[:3])
