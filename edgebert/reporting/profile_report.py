"""What is shown of a profile: a row for each entry, which of them are on the Pareto front, and what is doubtful.

Knows neither text nor pages; numbers keep the units of their names.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgebert.choosing.selection import pareto_front
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.subnet import Way

DoubtKind = Literal["wrong-numerics", "left-out", "rounds-differ", "unsettled", "coarse-clock", "unstable"]


@dataclass(frozen=True)
class ProfileRow:
    """What one sub-network costs in one way; `latency` has one entry for each length.

    `method` and `quality` are the bundle's, None where it is not at hand or does not know them.
    """

    entry: ProfiledSubnet
    method: str | None
    quality: float | None
    latency: tuple[Latency, ...]
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
    rows: tuple[ProfileRow, ...]
    doubts: tuple[Doubt, ...]
    is_of_this_device: bool


def profile_report(profile: DeviceProfile, bundle: Bundle | None = None) -> ProfileReport:
    """Return what is shown of a profile, with the qualities of its bundle if that is given."""
    batch_size = min(profile.settings.batch_sizes)  # a table has room for one
    latencies = {
        entry.key: tuple(row for row in entry.latency if row.batch_size == batch_size) for entry in profile.subnetworks
    }
    qualities = bundle.manifest.qualities if bundle else {}
    methods = bundle.manifest.methods if bundle else {}
    front = pareto_front(
        [
            (entry.key, qualities[entry.id], latencies[entry.key][-1].p95_ms)
            for entry in profile.subnetworks
            # What computes something else is never selected, so it must not push others off the front.
            if entry.id in qualities and entry.numerics_ok
        ]
    )
    rows = tuple(
        ProfileRow(one, methods.get(one.id), qualities.get(one.id), latencies[one.key], one.key in front)
        for one in profile.subnetworks
    )
    metric = bundle.manifest.metric if bundle else None
    is_of_this_device = profile.device.fingerprint == this_device().fingerprint
    return ProfileReport(profile, metric, batch_size, rows, tuple(_doubts(profile)), is_of_this_device)


def _doubts(profile: DeviceProfile) -> Iterator[Doubt]:
    """Yield what is doubtful, what forbids a choice first."""
    for entry in profile.subnetworks:
        if not entry.numerics_ok:
            yield Doubt("wrong-numerics", entry.what_is_wrong, (entry.id,), entry.way)

    # A way is left out for many sub-networks at once, for the same reason.
    alike: dict[tuple[Way, str], list[str]] = defaultdict(list)
    for left_out in profile.left_out:
        alike[left_out.way, left_out.reason].append(left_out.id)
    yield from (Doubt("left-out", reason, tuple(ids), way) for (way, reason), ids in alike.items())

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
    most = max(row.runs_per_sample for entry in profile.subnetworks for row in entry.latency)
    if most > 1:
        timed = f"requests that are short for the clock were timed together, up to {most} as one"
        yield Doubt("coarse-clock", f"{timed}: p95 and p99 of such means are lower than those of single requests")
    if stability.warning:
        yield Doubt("unstable", stability.warning)
