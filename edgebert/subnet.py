"""Sub-networks: which layers, heads and neurons of an elastic BERT are kept, as values with a name."""

from typing import Annotated, Literal

from msgspec import Meta

from edgebert.records import Record

Precision = Literal["fp32", "int8", "int8-static", "int8-weights"]
Flavor = Literal["fused", "portable"]
Storage = Literal["fp32", "int8"]

CPU = "CPUExecutionProvider"


class Subnet(Record, frozen=True):
    """One slice of an elastic model: the kept layers (0-based), and the heads and FFN neurons of each kept layer.

    Kept heads and neurons are the left-most ones. `width` and `depth` are DynaBERT's multipliers, None elsewhere.
    """

    id: str
    method: str
    width: float | None
    depth: float | None
    precision: Precision
    layers: tuple[Annotated[int, Meta(ge=0)], ...]
    heads: tuple[Annotated[int, Meta(ge=1)], ...]
    ffn: tuple[Annotated[int, Meta(ge=1)], ...]


def storage_of(precision: Precision) -> Storage:
    """Return the storage type whose weight file a precision reads."""
    return "fp32" if precision == "fp32" else "int8"


def flavor_of(provider: str) -> Flavor:
    """Return the flavor of graph that suits an ONNX Runtime execution provider."""
    return "fused" if provider == CPU else "portable"
