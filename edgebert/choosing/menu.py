"""What can be had for a request: every profiled network and way to run it, the best first. Knows no clock."""

from dataclasses import dataclass
from functools import cached_property

from edgebert.choosing.selection import Budget, worths
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.subnet import Way

# Of so many shapes the options are kept; then all are forgotten, so that a service does not grow.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Option:
    """A profiled network with its quality (see `worths`), and what it costs to answer a shape.

    `expected_ms` is the median, `bound_ms` what the budget's percentile should not exceed.
    """

    entry: ProfiledSubnet
    quality: float
    expected_ms: float
    bound_ms: float

    @cached_property  # a request asks for it several times
    def key(self) -> tuple[str, Way]:
        """Which network it is, and how it is run."""
        return self.entry.key


class Menu:
    """The entries of a profile that the law of selection admits before it looks at latencies."""

    def __init__(self, bundle: Bundle, profile: DeviceProfile, budget: Budget):
        qualities = worths(bundle.manifest)
        self._percentile = budget.percentile
        self._entries = [
            (entry, qualities[entry.id])
            for entry in profile.subnetworks
            if entry.id in qualities
            and entry.numerics_ok
            and (budget.memory_mb is None or entry.memory_bound_mb <= budget.memory_mb)
        ]
        self._known: dict[tuple[int, int], list[Option]] = {}

    def options(self, batch_size: int, length: int) -> list[Option]:
        """Return what there is for a shape, the best first, the faster of equals."""
        known = self._known.get((batch_size, length))
        if known is None:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            found = []
            for entry, quality in self._entries:
                bound_ms = entry.cost.bound_ms(length, batch_size, self._percentile)
                # Beyond the measured shapes nothing can be promised.
                if bound_ms is not None:
                    found.append(Option(entry, quality, entry.cost.expected_ms(length, batch_size), bound_ms))
            found.sort(key=lambda option: (-option.quality, option.bound_ms, option.entry.memory_bound_mb))
            known = self._known[batch_size, length] = found
        return known
