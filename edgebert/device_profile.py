"""The profile: what was measured for one bundle on one device, and the file that holds it."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgebert import records
from edgebert.cost_model import Latency, predict_ms
from edgebert.device import Device
from edgebert.errors import ProfileError
from edgebert.records import Record
from edgebert.subnet import Flavor

MAX_PERCENTILE = 99


class ProfiledSubnet(Record, frozen=True):
    """What one sub-network costs with one provider, flavor and thread count.

    `load_ms` is verifying and loading its graph, `first_ms` its first answer. `peak_memory_mb` is the most that
    loading it and serving the largest profiled shape added to a fresh process, `steady_memory_mb` what it still adds
    afterwards. `numerics_ok` is whether this device computes the golden outputs.
    """

    id: str
    provider: str
    flavor: Flavor
    threads: Annotated[int, Meta(ge=1, le=1024)]
    load_ms: Annotated[float, Meta(ge=0)]
    first_ms: Annotated[float, Meta(ge=0)]
    peak_memory_mb: Annotated[float, Meta(ge=0)]
    steady_memory_mb: Annotated[float, Meta(ge=0)]
    numerics_ok: bool
    latency: Annotated[tuple[Latency, ...], Meta(min_length=1)]


class Settings(Record, frozen=True):
    """How a profile was measured: in each round every sub-network runs in a fresh process of its own."""

    lengths: Annotated[tuple[int, ...], Meta(min_length=1)]
    batch_sizes: Annotated[tuple[int, ...], Meta(min_length=1)]
    provider: str
    threads: int
    rounds: int
    min_runs: int
    min_seconds: float


class Stability(Record, frozen=True):
    """How far the rounds agree: the slowest round's median over the fastest's, for the median and the worst shape."""

    rounds: int
    median_drift: float
    worst_drift: float


class DeviceProfile(Record, frozen=True):
    """What profile.json holds."""

    schema_version: int
    bundle_sha256: str
    created_at: str
    edgebert_version: str
    onnxruntime_version: str
    device: Device
    settings: Settings
    subnetworks: Annotated[tuple[ProfiledSubnet, ...], Meta(min_length=1)]
    stability: Stability

    @classmethod
    def load(cls, path: str | Path) -> "DeviceProfile":
        """Read a profile.

        Raises:
            ProfileError: it cannot be read, or is of another version or form.
        """
        return records.read(Path(path), cls, ProfileError)

    def save(self, path: str | Path) -> None:
        """Write the profile in one step.

        Raises:
            ProfileError: it cannot be written; a profile that stood there is untouched.
        """
        records.write_bytes(Path(path), records.encode(self), ProfileError)

    def predict_ms(self, subnet_id: str, *, length: int, batch_size: int = 1, percentile: float = 50) -> float:
        """Return the latency expected of a sub-network for inputs of a shape, from the fastest way it was measured.

        Raises:
            ProfileError: the sub-network or the shape was not measured.
        """
        entries = [entry for entry in self.subnetworks if entry.id == subnet_id]
        if not entries:
            known = ", ".join(sorted({entry.id for entry in self.subnetworks}))
            raise ProfileError(f"no sub-network '{subnet_id}' in this profile; choose one of {known}")
        shape = {"length": length, "batch_size": batch_size}
        found = [predict_ms(entry.latency, **shape, percentile=check_percentile(percentile)) for entry in entries]
        known_costs = [cost for cost in found if cost is not None]
        if not known_costs:
            raise ProfileError(self.beyond(length, batch_size))
        return min(known_costs)

    def narrowed(self, provider: str | None, threads: int | None) -> "DeviceProfile":
        """Return the entries of one provider and thread count; None admits all.

        Raises:
            ProfileError: there are none.
        """
        entries = tuple(
            entry
            for entry in self.subnetworks
            if provider in (None, entry.provider) and threads in (None, entry.threads)
        )
        if not entries:
            asked = f"{provider or 'any provider'} with {threads or 'any number of'} threads"
            raise ProfileError(f"the profile holds nothing measured on {asked}; profile again with --threads")
        return msgspec.structs.replace(self, subnetworks=entries)

    def beyond(self, length: int, batch_size: int) -> str:
        """Return the message that a shape is larger than any measured one."""
        lengths, batches = max(self.settings.lengths), max(self.settings.batch_sizes)
        asked = f"{batch_size} x {length} tokens is beyond the measured {batches} x {lengths}"
        return f"{asked}; profile again with --lengths and --batch-sizes"


def check_percentile(percentile: float) -> float:
    """Return a percentile that profiles hold, or raise a ProfileError."""
    if not 0 < percentile <= MAX_PERCENTILE:
        raise ProfileError(f"expected a percentile above 0 and at most {MAX_PERCENTILE}, found {percentile}")
    return percentile
