"""Sub-networks: which layers, heads and neurons of an elastic BERT are kept, as values with a name."""

import math
from fractions import Fraction
from typing import Literal

from edgebert.records import Record

Precision = Literal["fp32", "int8", "int8-static", "int8-weights"]
Flavor = Literal["fused", "portable"]


class Subnet(Record, frozen=True):
    """One slice of an elastic model: the kept layers (0-based), and the heads and FFN neurons of each kept layer.

    Kept heads and neurons are the left-most ones. `width` and `depth` are DynaBERT's multipliers, None elsewhere.
    """

    id: str
    method: str
    width: float | None
    depth: float | None
    precision: Precision
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    ffn: tuple[int, ...]


def kept_heads(width: Fraction, heads: int) -> int:
    """Return how many heads a width keeps (DynaBERT's code: Python's half-even round, at least one)."""
    return max(1, round(width * heads))


def kept_layers(depth: Fraction, layers: int) -> tuple[int, ...]:
    """Return the 0-based layers that a depth keeps (DynaBERT's code: floor(i / depth), in exact arithmetic)."""
    return tuple(math.floor(i / depth) for i in range(max(1, round(depth * layers))))


def dynabert_subnet(
    width: Fraction, depth: Fraction, precision: Precision, *, layers: int, heads: int, ffn: int
) -> Subnet:
    """Return the slice that DynaBERT (arXiv 2004.04037) cuts from a model of so many layers, heads and FFN neurons."""
    kept = kept_layers(depth, layers)
    head_count = kept_heads(width, heads)
    return Subnet(
        id=f"w{_two_digits(width)}-d{_two_digits(depth)}-{precision}",
        method="dynabert",
        width=float(width),
        depth=float(depth),
        precision=precision,
        layers=kept,
        heads=(head_count,) * len(kept),
        ffn=(head_count * ffn // heads,) * len(kept),
    )


def _two_digits(share: Fraction) -> str:
    """Return 0.5 as "0.50", and 0.375 as "0.375" so that ids stay apart."""
    rounded = f"{float(share):.2f}"
    return rounded if Fraction(rounded) == share else str(float(share))
