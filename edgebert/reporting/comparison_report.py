"""What is shown of several profiles of one bundle side by side: of each sub-network the fastest way on each device."""

from collections.abc import Sequence

from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import Device
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.measuring.profile_settings import Shape
from edgebert.records import Record
from edgebert.subnet import Way


class ComparedProfile(Record, frozen=True):
    """One of the profiles: what it is called, and what was measured when and with what."""

    name: str
    created_at: str
    device: Device | JavaScriptDevice
    engine_versions: dict[str, str]
    warning: str | None


class ComparedEntry(Record, frozen=True):
    """What a sub-network costs in the fastest way of a profile, which is told by its place among the profiles."""

    profile: int
    way: Way
    p50_ms: float
    p95_ms: float
    runs_per_sample: int
    peak_memory_mb: float | None
    numerics_ok: bool
    drift: float


class ComparedSubnet(Record, frozen=True):
    """A sub-network, with an entry of each profile that has measured it; the quality is None where it is not known."""

    id: str
    quality: float | None
    measured: tuple[ComparedEntry, ...]


class Comparison(Record, frozen=True):
    """Profiles of one bundle side by side, for requests of one shape that all of them have measured."""

    bundle_sha256: str
    metric: str | None
    batch_size: int
    length: int
    profiles: tuple[ComparedProfile, ...]
    subnetworks: tuple[ComparedSubnet, ...]


def comparison_of(
    profiles: Sequence[tuple[str, DeviceProfile]], bundle: Bundle | None = None, *, length: int | None = None
) -> Comparison:
    """Return named profiles side by side, with the qualities of their bundle if that is given.

    They are compared at the smallest batch size and, unless a `length` is given, at the longest one that all have.

    Raises:
        ProfileError: they are of several bundles, or have no such shape in common.
    """
    (first_name, first), *others = profiles
    for name, other in others:
        if other.bundle_sha256 != first.bundle_sha256:
            found = f"expected bundle {first.bundle_sha256[:12]}, as in {first_name}, found {other.bundle_sha256[:12]}"
            raise ProfileError(f"{name} is of another bundle ({found}); give profiles of one bundle")

    shape = _shape([profile for _, profile in profiles], length)
    qualities = bundle.manifest.qualities if bundle else {}
    ids = dict.fromkeys(entry.id for _, profile in profiles for entry in profile.subnetworks)
    return Comparison(
        bundle_sha256=first.bundle_sha256,
        metric=bundle.manifest.metric if bundle else None,
        batch_size=shape.batch_size,
        length=shape.length,
        profiles=tuple(_described(name, profile) for name, profile in profiles),
        subnetworks=tuple(ComparedSubnet(one, qualities.get(one), _measured(one, profiles, shape)) for one in ids),
    )


def _described(name: str, profile: DeviceProfile) -> ComparedProfile:
    return ComparedProfile(name, profile.created_at, profile.device, profile.engine_versions, profile.stability.warning)


def _shape(profiles: Sequence[DeviceProfile], length: int | None) -> Shape:
    """Return the shape to compare at."""
    shapes = set.intersection(*({*profile.settings.shapes} for profile in profiles))
    if not shapes:
        measured = " and ".join(", ".join(map(str, profile.settings.shapes)) for profile in profiles)
        advice = "profile again with the same --lengths and --batch-sizes"
        raise ProfileError(f"expected a batch size and length that all profiles have, found {measured}; {advice}")

    batch_size = min(shape.batch_size for shape in shapes)
    lengths = sorted(shape.length for shape in shapes if shape.batch_size == batch_size)
    if length not in (None, *lengths):
        known = ", ".join(map(str, lengths))
        raise ProfileError(f"expected a length that all profiles have ({known}), found {length}; choose one of these")
    return Shape(batch_size, length or lengths[-1])


def _measured(subnet_id: str, profiles: Sequence[tuple[str, DeviceProfile]], shape: Shape) -> tuple[ComparedEntry, ...]:
    """Return what a sub-network costs in each of the profiles that have it."""
    found = []
    for place, (_, profile) in enumerate(profiles):
        costs = [_cost(place, entry, shape) for entry in profile.subnetworks if entry.id == subnet_id]
        # What computes something else is never selected, however fast it is.
        found += sorted(costs, key=lambda cost: (not cost.numerics_ok, cost.p95_ms))[:1]
    return tuple(found)


def _cost(place: int, entry: ProfiledSubnet, shape: Shape) -> ComparedEntry:
    (row,) = (row for row in entry.latency if (row.batch_size, row.length) == (shape.batch_size, shape.length))
    return ComparedEntry(
        profile=place,
        way=entry.way,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        runs_per_sample=row.runs_per_sample,
        peak_memory_mb=entry.peak_memory_mb,
        numerics_ok=entry.numerics_ok,
        drift=entry.numerics.drift,
    )
