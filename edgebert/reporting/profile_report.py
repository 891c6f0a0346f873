"""What is shown of a profile: a row for each entry, which of them are on the Pareto front, and what is doubtful.

Knows neither text nor pages; numbers keep the units of their names.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgebert.choosing.selection import pareto_front
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.subnet import Way

DoubtKind = Literal["wrong-numerics", "left-out", "rounds-differ", "unsettled", "unstable"]


@dataclass(frozen=True)
class ProfileRow:
    """What one sub-network costs in one way; `latency` has one entry for each length.

    `method` and `quality` are the bundle's, None where it is not at hand or does not know them.
    """

    subnet_id: str
    method: str | None
    way: Way
    quality: float | None
    latency: tuple[Latency, ...]
    load_ms: float
    peak_memory_mb: float
    numerics_ok: bool
    is_on_front: bool


@dataclass(frozen=True)
class Doubt:
    """A reason to trust a part of a profile less, and the sub-networks and the way that it is about."""

    kind: DoubtKind
    reason: str
    subnet_ids: tuple[str, ...] = ()
    way: Way | None = None


@dataclass(frozen=True)
class ProfileReport:
    """What a profile's table holds: latencies at `batch_size`, and qualities by `metric`, None if none is known.

    The front is that of quality against the 95th percentile at the longest length.
    """

    profile: DeviceProfile
    metric: str | None
    batch_size: int
    lengths: tuple[int, ...]
    rows: tuple[ProfileRow, ...]
    doubts: tuple[Doubt, ...]


def profile_report(profile: DeviceProfile, bundle: Bundle | None = None) -> ProfileReport:
    """Return what is shown of a profile, with the qualities of its bundle if that is given."""
    batch_size = min(profile.settings.batch_sizes)
    qualities = bundle.manifest.qualities if bundle else {}
    methods = bundle.manifest.methods if bundle else {}
    points = [
        (entry.key, qualities[entry.id], _latencies(entry, batch_size)[-1].p95_ms)
        for entry in profile.subnetworks
        if entry.id in qualities and entry.numerics_ok
    ]
    front = pareto_front(points)

    rows = tuple(
        ProfileRow(
            subnet_id=entry.id,
            method=methods.get(entry.id),
            way=entry.way,
            quality=qualities.get(entry.id),
            latency=_latencies(entry, batch_size),
            load_ms=entry.load_ms,
            peak_memory_mb=entry.peak_memory_mb,
            numerics_ok=entry.numerics_ok,
            is_on_front=entry.key in front,
        )
        for entry in profile.subnetworks
    )
    return ProfileReport(
        profile=profile,
        metric=bundle.manifest.metric if bundle else None,
        batch_size=batch_size,
        lengths=profile.settings.lengths,
        rows=rows,
        doubts=tuple(_doubts(profile)),
    )


def _latencies(entry: ProfiledSubnet, batch_size: int) -> tuple[Latency, ...]:
    """Return an entry's latencies for one batch size, all if it has none of that size."""
    return tuple(row for row in entry.latency if row.batch_size == batch_size) or entry.latency


def _doubts(profile: DeviceProfile) -> Iterator[Doubt]:
    """Yield what is doubtful, what forbids a choice first."""
    for entry in profile.subnetworks:
        if not entry.numerics_ok:
            yield Doubt("wrong-numerics", entry.numerics, (entry.id,), entry.way)

    # A way is left out for many sub-networks at once, for the same reason.
    alike: dict[tuple[Way, str], list[str]] = defaultdict(list)
    for one in profile.left_out:
        alike[one.way, one.reason].append(one.id)
    for (way, reason), subnet_ids in alike.items():
        yield Doubt("left-out", reason, tuple(subnet_ids), way)

    yield from _doubts_of_stability(profile)


def _doubts_of_stability(profile: DeviceProfile) -> Iterator[Doubt]:
    """Yield how far the measured times are to be trusted; one round alone cannot tell."""
    stability = profile.stability
    if stability.rounds > 1:
        drift = f"{stability.median_drift:.2f}x in the median, {stability.worst_drift:.2f}x at worst"
        machine = f"the machine by {stability.canary_drift:.2f}x"
        yield Doubt("rounds-differ", f"the medians of the {stability.rounds} rounds differ by {drift}; {machine}")
        if stability.unsettled:
            share = f"{profile.settings.interval_share:.0%}"
            found = f"in the time given, {len(stability.unsettled)} entries have a median that is not known to {share}"
            yield Doubt("unsettled", found, stability.unsettled)
    if stability.warning:
        yield Doubt("unstable", stability.warning)
