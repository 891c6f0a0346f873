"""What is shown of a selection: why each sub-network lost, those with the same reason together.

A sub-network that was measured in several ways lost for the reason of the way that came closest.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from edgebert.choosing.selection import Rejection, RejectionKind, Selection
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile

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
    order = get_args(RejectionKind)
    lost = list(_lost(selection, bundle, profile))
    lost.sort(key=lambda one: (order.index(one.rejection.kind), one.predicted_ms or 0.0))
    alike: dict[tuple[str, str | None, bool], list[Lost]] = defaultdict(list)
    seen = set()
    for one in lost:
        is_chosen, kind = one.subnet_id == selection.subnetwork, one.rejection.kind
        # Of the chosen sub-network all other ways are shown, of another the way alone that came closest.
        if is_chosen or one.subnet_id not in seen:
            seen.add(one.subnet_id)
            alike[kind, None if kind in _BY_NUMBERS else one.rejection.reason, is_chosen].append(one)

    groups = [RejectionGroup(*about, tuple(found)) for about, found in alike.items()]
    # The other ways of the chosen one go last, whatever they lost for.
    return SelectionReport(selection, bundle.manifest.metric, tuple(sorted(groups, key=lambda group: group.is_chosen)))


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
