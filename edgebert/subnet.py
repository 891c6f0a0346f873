"""Sub-networks and the ways to run them, as values: together the key of everything that is measured."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgebert.records import Count, Line, Natural, Record

Precision = Literal["fp32", "fp16", "int8", "int8-static", "int8-weights"]
Flavor = Literal["fused", "portable"]
Storage = Literal["fp32", "fp16", "int8"]
PartOfAll = Annotated[float, Meta(gt=0, le=1)]

# More than any machine that this is for has cores: a number above it in a profile or an option is a mistake.
MAX_THREADS = 1024


class Subnet(Record, frozen=True):
    """One slice of an elastic model: the kept layers (0-based), and the heads and FFN neurons of each kept layer.

    Kept heads and neurons are the left-most ones. `width` and `depth` are DynaBERT's multipliers, None elsewhere. The
    id is a name to show; nothing is read out of it.
    """

    id: Line
    method: Line
    width: PartOfAll | None
    depth: PartOfAll | None
    precision: Precision
    layers: tuple[Natural, ...]
    heads: tuple[Count, ...]
    ffn: tuple[Count, ...]


class Way(Record, frozen=True):
    """How a sub-network is run: by which engine, on which device of it, as which flavor of graph, on how many threads.

    `options` are settings of the engine's own, (name, value) each, beside those that it always has.
    """

    engine: Line
    device: Line
    flavor: Flavor
    threads: Annotated[int, Meta(ge=1, le=MAX_THREADS)]
    options: tuple[tuple[Line, Line], ...]

    @property
    def plain(self) -> "Way":
        """This way without options."""
        return msgspec.structs.replace(self, options=())

    # What tables and messages show: a device of the engine's own name, as the CPU's, is not said twice.
    def __str__(self) -> str:
        where = self.engine if self.device == self.engine else f"{self.engine} on {self.device}"
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
        return ", ".join([where, self.flavor, threads, *(f"{name}={value}" for name, value in self.options)])


class WayFilter(Record, frozen=True):
    """Which ways somebody asked for: those of some engines, those on so many threads; None admits all."""

    engines: tuple[str, ...] | None = None
    threads: int | None = None

    def admits(self, way: Way) -> bool:
        """Return whether a way is one of them."""
        return (self.engines is None or way.engine in self.engines) and self.threads in (None, way.threads)

    def __str__(self) -> str:
        return f"{' or '.join(self.engines or ('any engine',))} with {self.threads or 'any number of'} threads"


def storage_of(precision: Precision) -> Storage:
    """Return the storage type whose weight file a precision reads."""
    return precision if precision in ("fp32", "fp16") else "int8"


def rounds_inputs(precision: Precision) -> bool:
    """Return whether a precision rounds what enters a product, and not the weights alone."""
    return precision in ("int8", "int8-static")
