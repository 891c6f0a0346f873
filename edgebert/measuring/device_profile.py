"""The profile: what was measured for one bundle on one device, and the file that holds it."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from edgebert import records
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.errors import ProfileError, listed
from edgebert.inputs.bundle import Bundle
from edgebert.machine.canary import Reading
from edgebert.machine.device import Device
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring.cost_model import CostModel, Latency
from edgebert.measuring.known_ways import engine_names, impossible
from edgebert.measuring.numerics import Numerics
from edgebert.measuring.profile_settings import ProfileSettings, Shape
from edgebert.records import Count, Line, NotNegative, Record, Sha256, Share
from edgebert.subnet import Way, WayFilter

# Of a few hundred runs even this is little more than the worst few.
MAX_PERCENTILE = 99
# Of the state of the machine: twice as many rounds as one profile has at most.
_MOST_READINGS = 20
# Two machines' clocks differ, and one of them may be a time zone off.
_CLOCKS_DIFFER = timedelta(days=1)

# The slowest over the fastest of something.
Drift = Annotated[float, Meta(ge=1)]


class _Keyed(Record, frozen=True):
    """A sub-network and a way to run it, which stand together once in a profile."""

    id: Line
    way: Way

    @property
    def key(self) -> tuple[str, Way]:
        """What tells entries of one profile apart."""
        return self.id, self.way

    def __str__(self) -> str:
        return f"{self.id} ({self.way})"


# With a dict, where `cost` is kept once it is made.
class ProfiledSubnet(_Keyed, frozen=True, dict=True):
    """What one sub-network costs in one way.

    `load_ms` is verifying and loading its graph, `first_ms` its first answer, `new_shape_ms` what meeting a length for
    the first time adds. `peak_memory_mb` is the most that loading it and serving the largest profiled shape added to a
    fresh process, `steady_memory_mb` what it still adds afterwards, of which `private_memory_mb` is backed by no file;
    all three are None where the runtime does not show them. `numerics_ok` is whether this device computes the golden
    outputs, of this sub-network and of all others of its precision in this way. Inputs are padded to the lengths in
    `pad_to`.
    """

    load_ms: NotNegative
    first_ms: NotNegative
    new_shape_ms: NotNegative
    peak_memory_mb: NotNegative | None
    steady_memory_mb: NotNegative | None
    private_memory_mb: NotNegative | None
    numerics_ok: bool
    numerics: Numerics
    pad_to: tuple[int, ...]
    latency: Annotated[tuple[Latency, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        memory_mb = (self.private_memory_mb, self.steady_memory_mb, self.peak_memory_mb)
        known_mb = [mb for mb in memory_mb if mb is not None]
        if known_mb and (len(known_mb) < len(memory_mb) or known_mb != sorted(known_mb)):
            found = ", ".join("null" if mb is None else f"{mb:g}" for mb in memory_mb)
            what = "private, steady and peak memory_mb in ascending order, or null for all three"
            raise ValueError(f"expected {what}, found {found}")
        if self.numerics_ok and not self.numerics.ok:
            raise ValueError(f"expected right numerics, found that {self.numerics}")

    @property
    def memory_bound_mb(self) -> float:
        """The most memory that it takes; infinite where that is not known, and so within no limit."""
        return math.inf if self.peak_memory_mb is None else self.peak_memory_mb

    @property
    def slowness_ms(self) -> float:
        """The sum of the medians of all shapes, to compare what was measured twice."""
        return sum(row.p50_ms for row in self.latency)

    @property
    def what_is_wrong(self) -> str:
        """Why its outputs are not to be trusted, where they are not."""
        return f"{self.numerics}{'; in this way other networks of its precision are wrong' * self.numerics.ok}"

    @cached_property
    def cost(self) -> CostModel:
        """What a request of any shape costs, by what was measured."""
        return CostModel(self.latency, self.pad_to, FixedShapes.of(self.way.options))


class LeftOut(_Keyed, frozen=True):
    """What was not measured, or not to the end, and why."""

    reason: Line


class Stability(Record, frozen=True):
    """How far to trust a profile.

    `median_drift` and `worst_drift` are the slowest round's median over the fastest's, for the median and the worst
    shape; `canary_drift` is the canary's 90th percentile over its 10th, `others_share` the share of the machine that
    other processes took, None where that is not shown, and `readings` the median state of the machine in each of the
    last rounds. `unsettled` are the entries whose medians are known less well than was asked for. `warning` says why
    the profile is not to be trusted and what to do, None if it is.
    """

    rounds: Count
    median_drift: Drift
    worst_drift: Drift
    canary_drift: Drift
    others_share: Share | None
    readings: Annotated[tuple[Reading, ...], Meta(min_length=1)]
    unsettled: tuple[Line, ...]
    warning: Line | None

    def merged(self, newer: "Stability") -> "Stability":
        """Return how far to trust entries of both: no further than the worse of the two."""
        worse = ("median_drift", "worst_drift", "canary_drift")
        shares = [share for share in (self.others_share, newer.others_share) if share is not None]
        return Stability(
            rounds=min(self.rounds, newer.rounds),
            **{name: max(getattr(self, name), getattr(newer, name)) for name in worse},
            others_share=max(shares, default=None),
            readings=(self.readings + newer.readings)[-_MOST_READINGS:],
            unsettled=tuple(dict.fromkeys(self.unsettled + newer.unsettled)),
            warning=newer.warning or self.warning,
        )


class DeviceProfile(Record, frozen=True):
    """What profile.json holds."""

    VERSION: ClassVar[int] = 5

    schema_version: int
    bundle_sha256: Sha256
    created_at: Line
    edgebert_version: Line
    engine_versions: dict[Line, Line]
    device: Device | JavaScriptDevice
    settings: ProfileSettings
    # What each value alone may be its type says, and `contradictions` what they say of each other.
    subnetworks: Annotated[tuple[ProfiledSubnet, ...], Meta(min_length=1)]
    left_out: tuple[LeftOut, ...]
    stability: Stability

    def contradictions(self) -> Iterator[str]:
        """Yield what cannot be of one machine and one profiling, each with its path."""
        try:
            is_future = datetime.fromisoformat(self.created_at) > datetime.now(UTC) + _CLOCKS_DIFFER
        except (TypeError, ValueError):  # the first is for one without a time zone
            yield f"expected a time with its zone, found '{self.created_at}' at $.created_at"
        else:
            if is_future:
                yield f"expected a time that this machine's clock has reached, found {self.created_at} at $.created_at"

        engines = engine_names(self.device)
        if strangers := sorted(self.engine_versions.keys() - set(engines)):
            expected = f"engines of {self.device.RUNTIME} ({listed(engines)})"
            yield f"expected {expected}, found {listed(strangers)} at $.engine_versions"
        known = set()
        for name in ("subnetworks", "left_out"):
            for number, one in enumerate(getattr(self, name)):
                path = f"$.{name}[{number}]"
                if one.key in known:
                    yield f"expected each sub-network in each way once, found {one.id} ({one.way}) again at {path}"
                known.add(one.key)
                yield from (f"{problem} at {path}.way" for problem in impossible(one.way, self.device))
        for number, entry in enumerate(self.subnetworks):
            yield from (f"{problem} at $.subnetworks[{number}].{name}" for problem, name in self._incomplete(entry))

    def _incomplete(self, entry: ProfiledSubnet) -> Iterator[tuple[str, str]]:
        """Yield what an entry lacks of what the settings say was measured, and where in it."""
        if entry.way.engine not in self.engine_versions:
            yield f"expected an engine of engine_versions, found {entry.way.engine}", "way.engine"
        if entry.pad_to not in ((), self.settings.lengths):
            yield f"expected no lengths or those of the settings, found {list(entry.pad_to)}", "pad_to"
        yield from self._of_other_shapes(entry)
        shapes = tuple(Shape(row.batch_size, row.length) for row in entry.latency)
        if shapes != self.settings.shapes:
            expected, found = (", ".join(map(str, some)) for some in (self.settings.shapes, shapes))
            yield f"expected the latencies of {expected}, found those of {found}", "latency"
        for number, row in enumerate(entry.latency):
            if row.runs < self.settings.min_runs:
                yield f"expected at least {self.settings.min_runs} runs, found {row.runs}", f"latency[{number}].runs"

    def _of_other_shapes(self, entry: ProfiledSubnet) -> Iterator[tuple[str, str]]:
        """Yield what an entry of fixed shapes says otherwise than the settings."""
        fixed = FixedShapes.of(entry.way.options)
        if fixed is None:
            return
        if entry.pad_to != self.settings.lengths or not {*entry.pad_to} <= {*fixed.lengths}:
            expected = f"expected inputs padded to {list(self.settings.lengths)}"
            yield f"{expected}, found {list(entry.pad_to)} and a way of {list(fixed.lengths)}", "pad_to"
        if fixed.batch_sizes != self.settings.batch_sizes:
            expected = f"expected a way of the batch sizes {list(self.settings.batch_sizes)}"
            yield f"{expected}, found {list(fixed.batch_sizes)}", "way.options"

    @classmethod
    def load(cls, path: str | Path) -> "DeviceProfile":
        """Read a profile.

        Raises:
            ProfileError: it cannot be read, or is of another version or form.
        """
        return records.read(Path(path), cls, ProfileError)

    def save(self, path: str | Path) -> None:
        """Write the profile in one step; if that fails, a ProfileError, and what stood there is untouched."""
        records.write_bytes(Path(path), records.encode(self), ProfileError)

    def check_fits(self, bundle: Bundle, name: object = "the profile") -> None:
        """Check that this is a profile of a bundle; `name` is what messages call it.

        Raises:
            ProfileError: it is another bundle's, or has what that one has not.
        """
        advice = f"profile this one: edgebert profile {bundle.path}"
        if self.bundle_sha256 != bundle.sha256:
            was = f"expected bundle {bundle.sha256[:12]}, found {self.bundle_sha256[:12]}"
            raise ProfileError(f"{name} is of another bundle ({was}); {advice}")
        longest, most = self.settings.lengths[-1], bundle.manifest.max_length
        if longest > most:
            raise ProfileError(
                f"{name}: expected at most {most} tokens, found {longest} at $.settings.lengths; {advice}"
            )
        graphs = {subnet.id: subnet.graphs for subnet in bundle.manifest.subnetworks}
        for number, entry in enumerate(self.subnetworks):
            if entry.way.flavor not in graphs.get(entry.id, ()):
                what = f"expected a graph of bundle '{bundle.manifest.name}', found {entry.id}, {entry.way.flavor}"
                raise ProfileError(f"{name}: {what} at $.subnetworks[{number}]; {advice}")
            fixed = FixedShapes.of(entry.way.options)
            if fixed is not None and fixed.lengths[-1] != most:
                what = f"expected a network for inputs of {most} tokens, found one for {fixed.lengths[-1]} at most"
                raise ProfileError(f"{name}: {what} at $.subnetworks[{number}].way.options; {advice}")

    def check_runtime(self, name: object = "the profile") -> None:
        """Check that edgebert in Python measured this: what another runtime takes says nothing of this one.

        Raises:
            ProfileError: another one did.
        """
        if not isinstance(self.device, Device):
            found = f"expected a profile measured by {Device.RUNTIME}, found one of {self.device.name}"
            advice = "measure here with `edgebert profile`, and see this one with `edgebert inspect`"
            raise ProfileError(f"{name}: {found}, measured by {self.device.RUNTIME}; {advice}")

    def predict_ms(self, subnet_id: str, *, length: int, batch_size: int = 1, percentile: float = 50) -> float:
        """Return the latency expected of a sub-network for inputs of any shape, run in the fastest way.

        Beyond the measured shapes it is extrapolated, as no selection ever is.

        Raises:
            ProfileError: the sub-network was not measured, or profiles hold no such percentile.
        """
        entries = [entry for entry in self.subnetworks if entry.id == subnet_id]
        if not entries:
            known = listed(sorted({entry.id for entry in self.subnetworks}))
            raise ProfileError(f"no sub-network '{subnet_id}' in this profile; choose one of {known}")
        check_percentile(percentile)
        return min(entry.cost.expected_ms(length, batch_size, percentile) for entry in entries)

    def holds(self, asked: WayFilter) -> bool:
        """Return whether each sub-network was measured, or could not be, in one of the ways that are asked for."""
        # What could not be measured counts: it would fail again.
        tried = {subnet_id for subnet_id, way in self.tried() if asked.admits(way)}
        everything = {subnet_id for subnet_id, _ in self.tried()}
        return tried == everything and any(asked.admits(entry.way) for entry in self.subnetworks)

    def tried(self) -> set[tuple[str, Way]]:
        """Return the keys of what was measured and of what could not be."""
        return {entry.key for entry in self.subnetworks} | {one.key for one in self.left_out}

    def narrowed(self, asked: WayFilter) -> "DeviceProfile":
        """Return the entries of the ways that are asked for.

        Raises:
            ProfileError: there are none.
        """
        entries = tuple(entry for entry in self.subnetworks if asked.admits(entry.way))
        if not entries:
            asked_for = {"--engines": ",".join(asked.engines or ()), "--threads": asked.threads}
            options = " ".join(f"{name} {value}" for name, value in asked_for.items() if value)
            raise ProfileError(f"the profile holds nothing measured on {asked}; profile again with {options}")
        return msgspec.structs.replace(self, subnetworks=entries)

    def differs_from(self, other: "DeviceProfile") -> str | None:
        """Return what forbids to put the entries of two profiles side by side, None if nothing does."""
        if self.bundle_sha256 != other.bundle_sha256:
            return "it is of another bundle"
        if self.device.RUNTIME != other.device.RUNTIME:
            return f"it was measured by {self.device.RUNTIME} ({self.device})"
        if self.device.fingerprint != other.device.fingerprint:
            return f"it was measured on another device ({self.device})"
        # Entries of an engine that one of them lacks have nothing to be compared with.
        both = self.engine_versions.keys() & other.engine_versions.keys()
        changed = sorted(name for name in both if self.engine_versions[name] != other.engine_versions[name])
        if changed:
            return f"it was measured with {self.engine_versions[changed[0]]}"

        settings, others = self.settings, other.settings
        if (settings.shapes, settings.requests_per_s) != (others.shapes, others.requests_per_s):
            lengths, batches = (",".join(map(str, values)) for values in (settings.lengths, settings.batch_sizes))
            return f"it holds other shapes (--lengths {lengths} --batch-sizes {batches}) or another pace"
        return "another machine was emulated" if settings.emulated != others.emulated else None

    def merged(self, newer: "DeviceProfile") -> "DeviceProfile":
        """Return the newer profile with those entries of this one that it does not measure again.

        Raises:
            ProfileError: the two cannot stand side by side.
        """
        reason = self.differs_from(newer)
        if reason:
            raise ProfileError(f"nothing can be added to the profile: {reason}; give the same options or another --out")

        # What is measured now replaces what was, and is no longer left out.
        again = {entry.key for entry in newer.subnetworks}
        remaining = tuple(entry for entry in self.subnetworks if entry.key not in again)
        measured = again | {entry.key for entry in remaining}
        left_out = {one.key: one for one in self.left_out + newer.left_out if one.key not in measured}
        names = {str(entry) for entry in remaining}
        before = msgspec.structs.replace(
            self.stability, unsettled=tuple(name for name in self.stability.unsettled if name in names)
        )
        return msgspec.structs.replace(
            newer,
            engine_versions=self.engine_versions | newer.engine_versions,
            settings=self.settings.merged(newer.settings) if remaining else newer.settings,
            subnetworks=remaining + newer.subnetworks,
            left_out=tuple(left_out.values()),
            stability=before.merged(newer.stability) if remaining else newer.stability,
        )

    @property
    def is_doubtful(self) -> bool:
        """Whether this is no more than a short look at a device that was busy, hot or slow: the next one counts too."""
        return self.settings.min_rounds == 1 and self.stability.warning is not None

    def healed(self, look: "DeviceProfile") -> "DeviceProfile":
        """Return what this doubtful profile and another short look tell together.

        A look at a calm device takes the place of all that it has tried, whatever the options. Of two restless ones
        the faster entry of each sub-network and way counts, since what else a device does only ever takes time.

        Raises:
            ProfileError: the two cannot stand side by side.
        """
        if look.stability.warning is None:
            tried = {(subnet_id, way.plain) for subnet_id, way in look.tried()}
            rest = tuple(entry for entry in self.subnetworks if (entry.id, entry.way.plain) not in tried)
            return msgspec.structs.replace(self, subnetworks=rest).merged(look)
        mine = {entry.key: entry.slowness_ms for entry in self.subnetworks}
        faster = tuple(one for one in look.subnetworks if one.slowness_ms < mine.get(one.key, math.inf))
        return self.merged(msgspec.structs.replace(look, subnetworks=faster))

    def completed(self, quick: "DeviceProfile") -> "DeviceProfile":
        """Return this profile with what a quick one has beyond it: one round takes the place of nothing.

        Raises:
            ProfileError: the two cannot stand side by side.
        """
        measured = {entry.key for entry in self.subnetworks}
        fresh = tuple(entry for entry in quick.subnetworks if entry.key not in measured)
        if fresh:
            return self.merged(msgspec.structs.replace(quick, subnetworks=fresh))
        tried = self.tried()
        left_out = self.left_out + tuple(one for one in quick.left_out if one.key not in tried)
        return msgspec.structs.replace(self, left_out=left_out)

    def beyond(self, length: int, batch_size: int) -> str:
        """Return the message that a shape is larger than any measured one."""
        lengths, batches = max(self.settings.lengths), max(self.settings.batch_sizes)
        asked = f"{batch_size} x {length} tokens is beyond the measured {batches} x {lengths}"
        return f"{asked}; profile again with --lengths {length} --batch-sizes {batch_size}, or give less"


def check_percentile(percentile: float) -> None:
    """Raise a ProfileError if profiles hold no such percentile."""
    if not 0 < percentile <= MAX_PERCENTILE:
        raise ProfileError(f"expected a percentile above 0 and at most {MAX_PERCENTILE}, found {percentile}")
