"""elastic.json: what an elastic checkpoint says of itself, beside its weights. Needs no torch."""

from pathlib import Path

from edgebert import records
from edgebert.errors import ExportError
from edgebert.records import Count, Line, Natural, Record, Sha256
from edgebert.subnet import PartOfAll, Precision, Subnet

ELASTIC = "elastic.json"


class Slice(Record, frozen=True):
    """An irregular sub-network: its kept layers, and the heads and FFN neurons of each."""

    id: Line
    layers: tuple[Natural, ...]
    heads: tuple[Count, ...]
    ffn: tuple[Count, ...]

    def subnet(self, method: str, precision: Precision) -> Subnet:
        """Return the sub-network that this slice is in a precision."""
        return Subnet(
            id=f"{self.id}-{precision}",
            method=method,
            width=None,
            depth=None,
            precision=precision,
            layers=self.layers,
            heads=self.heads,
            ffn=self.ffn,
        )


class ElasticManifest(Record, frozen=True):
    """The sub-networks that a checkpoint was made for: a grid of widths and depths, or a list of slices.

    A depth keeps the first of `layer_order`, which has all layers, the most important first; none: DynaBERT's, which
    are evenly spread. `layers` are the numbers that the checkpoint's layers had in the model they came from; none: 0,
    1, ... Vectors of a checkpoint that embeds texts may be cut to `dims`, and lie in the `space` of another one that
    they were learnt from, if it is named: then they are compared with that one's.
    """

    schema_version: int
    method: Line
    widths: tuple[PartOfAll, ...]
    depths: tuple[PartOfAll, ...]
    rewired: bool
    origin: Line
    subnetworks: tuple[Slice, ...] = ()
    layers: tuple[Natural, ...] = ()
    layer_order: tuple[Natural, ...] = ()
    dims: tuple[Count, ...] = ()
    space: Sha256 | None = None

    @classmethod
    def of_slices(
        cls, method: str, origin: str, slices: tuple[Slice, ...], layers: tuple[int, ...] = ()
    ) -> "ElasticManifest":
        """Return what a method's checkpoint says of itself that was made from `origin` for these slices."""
        return cls(
            cls.VERSION, method, widths=(), depths=(), rewired=False, origin=origin, subnetworks=slices, layers=layers
        )

    @classmethod
    def load(cls, checkpoint: Path) -> "ElasticManifest | None":
        """Read a checkpoint's elastic.json; None if it has none.

        Raises:
            ExportError: it is damaged or of another version.
        """
        # A plain checkpoint has none, and is exported as a whole.
        path = checkpoint / ELASTIC
        return records.read(path, cls, ExportError) if path.exists() else None

    def save(self, checkpoint: Path) -> None:
        """Write elastic.json beside a checkpoint's weights."""
        records.write_bytes(checkpoint / ELASTIC, records.encode(self), ExportError)
