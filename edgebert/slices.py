"""DynaBERT's cuts: which heads, neurons and layers a width and a depth keep. Needs no torch."""

import math
from collections.abc import Sequence
from fractions import Fraction

from edgebert.subnet import Precision, Subnet


def kept_heads(width: Fraction, heads: int) -> int:
    """Return how many heads a width keeps (DynaBERT's code: Python's half-even round, at least one)."""
    return max(1, round(width * heads))


def kept_layers(depth: Fraction, layers: int, order: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the 0-based layers that a depth keeps: the first of an `order`, which names all, the most important first.

    Without an order they are evenly spread (DynaBERT's code: floor(i / depth), in exact arithmetic).
    """
    count = max(1, round(depth * layers))
    # In floats 7 / 0.07 is below 100: a quotient may name the layer before.
    return tuple(sorted(order[:count])) or tuple(math.floor(i / depth) for i in range(count))


def dynabert_subnet(
    width: Fraction,
    depth: Fraction,
    precision: Precision,
    *,
    layers: int,
    heads: int,
    ffn: int,
    layer_order: Sequence[int] = (),
) -> Subnet:
    """Return the slice that DynaBERT (arXiv 2004.04037) cuts from a model of so many layers, heads and FFN neurons.

    Layers are those that it keeps too, or the most important ones in a `layer_order`.
    """
    kept = kept_layers(depth, layers, layer_order)
    head_count = kept_heads(width, heads)
    return Subnet(
        id=f"w{_two_digits(width)}-d{_two_digits(depth)}-{precision}",
        method="dynabert",
        width=float(width),
        depth=float(depth),
        precision=precision,
        layers=kept,
        heads=(head_count,) * len(kept),
        # As many neurons for a head as in the whole model: a width is one share for both.
        ffn=(head_count * ffn // heads,) * len(kept),
    )


def _two_digits(share: Fraction) -> str:
    """Return 0.5 as "0.50", and 0.375 as "0.375" so that ids stay apart."""
    rounded = f"{float(share):.2f}"
    return rounded if Fraction(rounded) == share else str(float(share))
