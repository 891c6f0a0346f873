from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.slices import dynabert_subnet, kept_heads, kept_layers

SHARES = st.integers(1, 1000).map(lambda thousandths: Fraction(thousandths, 1000))


# From the authors' code: round(H * w) is Python's half-even round.
@pytest.mark.parametrize(
    ("width", "heads"), [("0.25", 3), ("0.375", 4), ("0.5", 6), ("0.625", 8), ("0.75", 9), ("1.0", 12), ("0.01", 1)]
)
def test_widths_keep_the_heads_that_dynabert_keeps(width: str, heads: int) -> None:
    assert kept_heads(Fraction(width), 12) == heads


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [
        (12, "0.75", (0, 1, 2, 4, 5, 6, 8, 9, 10)),
        (12, "0.5", (0, 2, 4, 6, 8, 10)),
        (6, "0.75", (0, 1, 2, 4)),
        (6, "0.5", (0, 2, 4)),
        (6, "1.0", (0, 1, 2, 3, 4, 5)),
        (12, "0.01", (0,)),
    ],
)
def test_depths_keep_the_layers_that_dynabert_keeps(layers: int, depth: str, kept: tuple[int, ...]) -> None:
    assert kept_layers(Fraction(depth), layers) == kept


@given(SHARES, st.integers(1, 48))
def test_kept_layers_are_layers_of_the_model_in_order(depth: Fraction, layers: int) -> None:
    kept = kept_layers(depth, layers)
    assert list(kept) == sorted(set(kept))
    assert 0 <= kept[0] <= kept[-1] < layers


@given(SHARES, SHARES, st.permutations(range(12)))
def test_the_first_of_an_order_are_kept_so_that_less_depth_keeps_some_of_them(
    depth: Fraction, less: Fraction, order: list[int]
) -> None:
    kept, fewer = (kept_layers(share, 12, order) for share in sorted((depth, less), reverse=True))
    assert len(kept) == len(kept_layers(max(depth, less), 12))
    assert sorted(order[: len(kept)]) == list(kept)
    assert set(fewer) <= set(kept)


@given(SHARES, st.integers(1, 24), st.integers(1, 300))
def test_a_subnet_is_never_larger_than_the_model(width: Fraction, heads: int, neurons_per_head: int) -> None:
    ffn = heads * neurons_per_head
    subnet = dynabert_subnet(width, Fraction(1), "int8", layers=2, heads=heads, ffn=ffn)
    assert all(1 <= kept <= heads for kept in subnet.heads)
    assert all(neurons_per_head <= kept <= ffn for kept in subnet.ffn)


def test_a_name_tells_width_depth_and_precision() -> None:
    def name(width: str, depth: str) -> str:
        return dynabert_subnet(Fraction(width), Fraction(depth), "int8", layers=12, heads=12, ffn=3072).id

    assert name("0.5", "0.75") == "w0.50-d0.75-int8"
    assert name("1.0", "1") == "w1.00-d1.00-int8"
    assert name("0.375", "0.5") == "w0.375-d0.50-int8"
