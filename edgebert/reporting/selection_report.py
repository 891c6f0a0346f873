"""What is shown of a selection: why each sub-network lost, those with the same reason together.

A sub-network that was measured in several ways lost for the reason of the way that came closest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgebert.choosing.selection import Rejection, Selection
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile

# Kinds of rejections, those first that come closest to being chosen.
_NEAREST_FIRST = (
    "slower",
    "less-quality",
    "over-budget",
    "beyond-profile",
    "left-out",
    "wrong-numerics",
    "unknown-quality",
    "not-profiled",
)
# Whose reasons differ by numbers alone: of these only the range is worth a line.
_BY_NUMBERS = ("slower", "less-quality", "over-budget")


@dataclass(frozen=True)
class Lost:
    """One sub-network that was not chosen, in one way, with what the bundle and the profile know of it."""

    rejection: Rejection
    quality: float | None
    parameters: int
    predicted_ms: float | None
    peak_memory_mb: float | None

    @property
    def subnet_id(self) -> str:
        """The sub-network."""
        return self.rejection.subnetwork


@dataclass(frozen=True)
class RejectionGroup:
    """Sub-networks that lost for one reason; `reason` is None where it differs by numbers, which `lost` holds.

    `is_chosen` where they are other ways to run the sub-network that was chosen.
    """

    kind: str
    reason: str | None
    is_chosen: bool
    lost: tuple[Lost, ...]


@dataclass(frozen=True)
class SelectionReport:
    """A selection, the metric of its qualities (None if none is known), and why the others lost."""

    selection: Selection
    metric: str | None
    groups: tuple[RejectionGroup, ...]


def selection_report(selection: Selection, bundle: Bundle, profile: DeviceProfile) -> SelectionReport:
    """Return what is shown of a selection that was made for a bundle from a profile."""
    lost = list(_lost(selection, bundle, profile))
    lost.sort(key=lambda one: (_NEAREST_FIRST.index(one.rejection.kind), one.predicted_ms or 0.0))
    other_ways = [one for one in lost if one.subnet_id == selection.subnetwork]
    nearest: dict[str, Lost] = {}
    for one in lost:
        nearest.setdefault(one.subnet_id, one)
    nearest.pop(selection.subnetwork, None)

    groups = (*_groups(nearest.values(), is_chosen=False), *_groups(other_ways, is_chosen=True))
    return SelectionReport(selection, bundle.manifest.metric, groups)


def _lost(selection: Selection, bundle: Bundle, profile: DeviceProfile) -> Iterator[Lost]:
    subnets = {subnet.id: subnet for subnet in bundle.manifest.subnetworks}
    entries = {entry.key: entry for entry in profile.subnetworks}
    budget = selection.budget
    assert budget.length is not None  # a selection's budget names the length that it was made for

    for one in selection.rejected:
        subnet, entry = subnets.get(one.subnetwork), entries.get((one.subnetwork, one.way))
        yield Lost(
            rejection=one,
            quality=subnet.quality.value if subnet and subnet.quality else None,
            parameters=subnet.parameters if subnet else 0,
            predicted_ms=entry.cost.bound_ms(budget.length, budget.batch_size, budget.percentile) if entry else None,
            peak_memory_mb=entry.peak_memory_mb if entry else None,
        )


def _groups(lost: Iterable[Lost], *, is_chosen: bool) -> list[RejectionGroup]:
    alike: dict[tuple[str, str | None], list[Lost]] = defaultdict(list)
    for one in lost:
        kind = one.rejection.kind
        alike[kind, None if kind in _BY_NUMBERS else one.rejection.reason].append(one)
    return [RejectionGroup(kind, reason, is_chosen, tuple(members)) for (kind, reason), members in alike.items()]
