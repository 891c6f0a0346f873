"""The law of selection: numbers in, one choice out. Knows neither files nor ONNX Runtime.

Among the entries with a known quality and right numerics that are within the budget the best quality wins; ties go to
the faster, then to the smaller. Where no quality is known at all, the largest sub-network counts as the best. Nothing
that breaks the budget is ever chosen.
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from edgebert.errors import BudgetError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet, Manifest
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet, check_percentile
from edgebert.records import Record
from edgebert.subnet import Precision, Way

logger = logging.getLogger(__name__)

Name = TypeVar("Name", bound=Hashable)

# The kind "slower" is for what is as good as the chosen one: slower than it, or as fast and larger.
# Those that come closest to being chosen stand first, which is the order that reports show them in.
RejectionKind = Literal[
    "slower",
    "less-quality",
    "over-budget",
    "beyond-profile",
    "unknown-memory",
    "left-out",
    "wrong-numerics",
    "unknown-quality",
    "not-profiled",
]

_UNKNOWN = "its quality is not known; export with --eval or --texts"
# Special tokens and one more: shorter inputs say nothing.
_SHORTEST = 3
_LOWER_PERCENTILES = (90, 50)
_UNKNOWN_MEMORY = "its memory is not known, since what ran it does not show that; give no limit of memory"


class Budget(Record, frozen=True):
    """What an app can afford: latency at a percentile for a shape of input, and memory; None is no limit.

    Without a `length` it holds for the bundle's longest input. With a `tolerance`, networks whose quality is within
    it of the best count as equally good.
    """

    latency_ms: float | None = None
    memory_mb: float | None = None
    percentile: float = 95
    length: int | None = None
    batch_size: int = 1
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_percentile(self.percentile)
        for name in ("latency_ms", "memory_mb", "length", "batch_size"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # which NaN is not either
                raise EdgeBertError(f"expected a {name} above 0, found {value}")
        if not 0 <= self.tolerance <= 1:
            raise EdgeBertError(f"expected a tolerance of 0 to 1, found {self.tolerance}")

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to keep."""
        return self.latency_ms is not None or self.memory_mb is not None

    def of(self, bundle: Bundle) -> "Budget":
        """Return this budget with the length that it holds for in a bundle."""
        # Inputs are cut to the longest that a bundle takes, so that none is longer.
        longest = bundle.manifest.max_length
        return msgspec.structs.replace(self, length=min(self.length or longest, longest))

    def __str__(self) -> str:
        shape = f"{self.length} tokens" if self.batch_size == 1 else f"{self.batch_size} x {self.length} tokens"
        latency = f"{self.latency_ms:g} ms at p{self.percentile:g} for {shape}" if self.latency_ms else ""
        memory = f"{self.memory_mb:g} MB" if self.memory_mb else ""
        return " and ".join(filter(None, (latency, memory))) or "no limit"


class Rejection(Record, frozen=True):
    """Why a sub-network was not chosen: `kind` for programs, `reason` for people."""

    subnetwork: str
    way: Way
    kind: RejectionKind
    reason: str


class Selection(Record, frozen=True):
    """The sub-network that a budget buys, and why the others lost; what no profile told is None.

    `method` is the one that made the sub-network.
    """

    subnetwork: str
    method: str
    way: Way
    predicted_ms: float | None
    peak_memory_mb: float | None
    quality: float | None
    budget: Budget
    rejected: tuple[Rejection, ...]


class Miss(Record, frozen=True):
    """The sub-network that comes closest to a budget which none meets, and what it needs."""

    subnetwork: str
    way: Way
    predicted_ms: float
    peak_memory_mb: float | None
    quality: float | None


@dataclass(frozen=True)
class _Candidate:
    """An entry that may be chosen, and what it is worth (see `worths`)."""

    subnet: ExportedSubnet
    entry: ProfiledSubnet
    predicted_ms: float
    worth: float

    def strain(self, budget: Budget) -> float:
        """Return how many times over the budget this is: at most 1 if it is met."""
        latency = self.predicted_ms / budget.latency_ms if budget.latency_ms else 0.0
        memory = self.entry.memory_bound_mb / budget.memory_mb if budget.memory_mb else 0.0
        return max(latency, memory)

    def is_on_time(self, budget: Budget, length: int | None = None, **limits: float) -> bool:
        """Return whether this meets a budget if it is for inputs of another length, or has other limits."""
        limit = msgspec.structs.replace(budget, **limits)
        ms = self.entry.cost.bound_ms(length or limit.length or _SHORTEST, limit.batch_size, limit.percentile)
        is_small = self.entry.memory_bound_mb <= (limit.memory_mb or math.inf)
        return is_small and ms is not None and ms <= (limit.latency_ms or math.inf)

    def longest_on_time(self, budget: Budget) -> int:
        """Return the longest input, in tokens, with which this meets a budget, 0 if there is none."""
        lengths = range(_SHORTEST, budget.length or _SHORTEST)
        # Longer ones take longer.
        fitting = bisect_left(lengths, True, key=lambda length: not self.is_on_time(budget, length))
        return lengths[fitting - 1] if fitting else 0

    def over(self, budget: Budget) -> str:
        """Return in words what of the budget this breaks."""
        over = []
        if budget.latency_ms and self.predicted_ms > budget.latency_ms:
            over.append(f"{self.predicted_ms:.2f} ms is over {budget.latency_ms:g} ms")
        if budget.memory_mb and self.entry.memory_bound_mb > budget.memory_mb:
            over.append(f"{self.entry.memory_bound_mb:.1f} MB is over {budget.memory_mb:g} MB")
        return " and ".join(over)


def select(bundle: Bundle, profile: DeviceProfile, budget: Budget) -> Selection:
    """Return the best sub-network of a bundle that meets a budget on the profiled device.

    Raises:
        BudgetError: none does; its `nearest` is the `Miss` that comes closest.
        ProfileError: another runtime than Python measured the profile.
    """
    profile.check_runtime()
    _warn_of_unknown_quality(bundle)
    budget = budget.of(bundle)
    candidates, rejected = _candidates(bundle, profile, budget)
    within = [candidate for candidate in candidates if candidate.strain(budget) <= 1]
    if not within:
        raise _infeasible(bundle, candidates, rejected, budget, profile.stability.warning)

    best = max(candidate.worth for candidate in within)
    # A tolerance is one of quality, where that is known. 1e-9 forgives the rounding of ratios of whole numbers alone.
    tolerance = (budget.tolerance if bundle.manifest.qualities else 0.0) + 1e-9
    tied = [candidate for candidate in within if best - candidate.worth <= tolerance]
    chosen = min(tied, key=lambda one: (one.predicted_ms, one.entry.memory_bound_mb, one.subnet.parameters))

    rejected += [_lost_to(other, chosen, tied, budget) for other in candidates if other is not chosen]
    selection = named(chosen.subnet, budget, chosen.entry.way, tuple(rejected))
    costs = {"predicted_ms": chosen.predicted_ms, "peak_memory_mb": chosen.entry.peak_memory_mb}
    return msgspec.structs.replace(selection, **costs)


def select_unprofiled(
    bundle: Bundle, budget: Budget, way: Way, takes: Callable[[Precision], bool] = lambda _: True
) -> Selection:
    """Return the best sub-network, the smallest of equals: what to take where nothing limits the choice.

    `takes` tells which precisions suit the way; the others are taken where there are none of these.
    """
    _warn_of_unknown_quality(bundle)
    worth = worths(bundle.manifest)
    known = [subnet for subnet in bundle.manifest.subnetworks if subnet.id in worth]
    subnet = max(known, key=lambda subnet: (takes(subnet.precision), worth[subnet.id], -subnet.parameters))
    others = [other for other in bundle.manifest.subnetworks if other is not subnet]
    unsuited = {
        other.id: Rejection(other.id, way, "left-out", f"{other.precision} is not worth it on {way.engine}")
        for other in others
        if takes(subnet.precision) and not takes(other.precision)
    }
    rejected = tuple(unsuited.get(other.id) or Rejection(other.id, way, *_less_good(other, subnet)) for other in others)
    return named(subnet, budget, way, rejected)


def named(subnet: ExportedSubnet, budget: Budget, way: Way, rejected: tuple[Rejection, ...] = ()) -> Selection:
    """Return the selection of one sub-network whatever it costs."""
    return Selection(
        subnetwork=subnet.id,
        method=subnet.method,
        way=way,
        predicted_ms=None,
        peak_memory_mb=None,
        quality=_quality(subnet),
        budget=budget,
        rejected=rejected,
    )


def worths(manifest: Manifest) -> dict[str, float]:
    """Return what sub-networks are chosen by, by id: known qualities, or sizes where no quality is known at all."""
    return manifest.qualities or {subnet.id: float(subnet.parameters) for subnet in manifest.subnetworks}


def pareto_front(points: Iterable[tuple[Name, float, float]]) -> set[Name]:
    """Return the names of the (name, quality, cost) points that no other beats in one and equals in the other."""
    # The cheapest first, of equal cost the best: who is on the front has a better quality than all before.
    front, best = set(), float("-inf")
    for name, quality, _ in sorted(points, key=lambda point: (point[2], -point[1])):
        if quality > best:
            front.add(name)
            best = quality
    return front


def _candidates(bundle: Bundle, profile: DeviceProfile, budget: Budget) -> tuple[list[_Candidate], list[Rejection]]:
    """Return the entries that the law admits before it looks at the budget, and why the others are out."""
    subnets = {subnet.id: subnet for subnet in bundle.manifest.subnetworks}
    worth = worths(bundle.manifest)
    candidates, rejected = [], []
    # Of several reasons the first counts: their order is part of the law (tests/laws/README.md).
    length = budget.length or bundle.manifest.max_length
    for entry in profile.subnetworks:
        subnet = subnets.get(entry.id)
        predicted = entry.cost.bound_ms(length, budget.batch_size, budget.percentile)
        if subnet is None or subnet.id not in worth:
            rejected.append(Rejection(*entry.key, "unknown-quality", _UNKNOWN))
        elif not entry.numerics_ok:
            reason = f"it does not give the golden outputs on this device: {entry.what_is_wrong}"
            rejected.append(Rejection(*entry.key, "wrong-numerics", reason))
        elif budget.memory_mb and entry.peak_memory_mb is None:
            rejected.append(Rejection(*entry.key, "unknown-memory", _UNKNOWN_MEMORY))
        elif predicted is None:
            rejected.append(Rejection(*entry.key, "beyond-profile", profile.beyond(length, budget.batch_size)))
        else:
            candidates.append(_Candidate(subnet, entry, predicted, worth[subnet.id]))

    rejected += [Rejection(*one.key, "left-out", one.reason) for one in profile.left_out]
    tried = {subnet_id for subnet_id, _ in profile.tried()}
    way = profile.subnetworks[0].way  # for what was run in no way
    others = (subnet_id for subnet_id in subnets if subnet_id not in tried)
    rejected += [Rejection(subnet_id, way, "not-profiled", "it is not in the profile") for subnet_id in others]
    return candidates, rejected


def _lost_to(candidate: _Candidate, chosen: _Candidate, tied: Sequence[_Candidate], budget: Budget) -> Rejection:
    """Return why a candidate is not the chosen one."""
    over = candidate.over(budget)
    if over:
        return Rejection(*candidate.entry.key, "over-budget", over)
    if candidate in tied:
        is_slower = candidate.predicted_ms > chosen.predicted_ms
        loses_by = f"slower: {candidate.predicted_ms:.2f} ms" if is_slower else "larger"
        return Rejection(*candidate.entry.key, "slower", f"no better, and {loses_by}")
    return Rejection(*candidate.entry.key, *_less_good(candidate.subnet, chosen.subnet))


def _less_good(subnet: ExportedSubnet, best: ExportedSubnet) -> tuple[RejectionKind, str]:
    if best.quality is None:
        return "less-quality", f"{subnet.parameters / 1e6:.1f} M parameters, not above {best.parameters / 1e6:.1f} M"
    if subnet.quality is None:
        return "unknown-quality", _UNKNOWN
    return "less-quality", f"{subnet.quality.metric} {subnet.quality.value:.3f}, not above {best.quality.value:.3f}"


def _quality(subnet: ExportedSubnet) -> float | None:
    return subnet.quality.value if subnet.quality else None


def _infeasible(
    bundle: Bundle,
    candidates: Sequence[_Candidate],
    rejected: Sequence[Rejection],
    budget: Budget,
    doubt: str | None,
) -> BudgetError:
    """Return the error that no network meets a budget; `doubt` is why the profile may be wrong."""
    if not candidates:
        reason = (
            f"{rejected[0].subnetwork}: {rejected[0].reason}" if rejected else "the profile is empty; profile again"
        )
        return BudgetError(f"no sub-network of bundle '{bundle.manifest.name}' can be chosen for {budget}; {reason}")
    # Of equals the first in the profile: that is part of the law too.
    nearest = min(candidates, key=lambda candidate: candidate.strain(budget))
    needs = [f"{nearest.predicted_ms:.2f} ms"] if budget.latency_ms else []
    needs += [f"{nearest.entry.memory_bound_mb:.1f} MB"] if budget.memory_mb else []
    ways_out = _ways_out(candidates, nearest, budget)
    advice = (", " if ways_out else " ").join(["Raise the budget", *ways_out, "or export a smaller sub-network."])
    if doubt:
        advice += f" Or the profile is wrong: {doubt}."
    miss = Miss(*nearest.entry.key, nearest.predicted_ms, nearest.entry.peak_memory_mb, _quality(nearest.subnet))
    what = f"no sub-network meets {budget} here; the nearest is {nearest.subnet.id} with {' and '.join(needs)}"
    return BudgetError(f"{what}. {advice}", miss)


def _ways_out(candidates: Sequence[_Candidate], nearest: _Candidate, budget: Budget) -> list[str]:
    """Return in words what of a budget, other than its limits, could be changed so that a network meets it."""
    found = []
    length = max(candidate.longest_on_time(budget) for candidate in candidates)
    if length:
        found.append(f"give a --length of at most {length}")
    if budget.batch_size > 1 and any(one.is_on_time(budget, batch_size=1) for one in candidates):
        found.append("give a --batch-size of 1")
    for percentile in _LOWER_PERCENTILES:
        if percentile < budget.percentile and any(one.is_on_time(budget, percentile=percentile) for one in candidates):
            found.append(f"give a --percentile of {percentile}")
            break
    # A latency is that of a length, memory that of the longest input there can be.
    if nearest.entry.memory_bound_mb > (budget.memory_mb or math.inf):
        found.append("export again with a shorter --max-length")
    return found


def _warn_of_unknown_quality(bundle: Bundle) -> None:
    if not bundle.manifest.qualities:
        what = "no sub-network of bundle '%s' has a known quality, so the largest that fits is chosen"
        logger.warning(f"{what}; export it with --eval or --texts", bundle.manifest.name)
