"""Measures what architectures would cost, before any is trained: latency depends on shapes, not on weights.

A random checkpoint holds all architectures of one hidden size and number of heads as slices, which read one weight
file. It goes through the exporter, which checks each graph, and through the profiler, here or on another machine.
"""

import contextlib
import itertools
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta
from safetensors import SafetensorError

from edgebert import records
from edgebert.elastic.bort.architecture import Architecture, SharedSizes, by_pair
from edgebert.elastic.bort.student import StudentBuilder
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError, ProfileError, cause_of
from edgebert.exporters.build import export
from edgebert.exporters.tokenizer import quiet
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import Device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile
from edgebert.measuring.remote import profile_on
from edgebert.progress import Progress, no_progress
from edgebert.records import Count, Line, Positive, Record
from edgebert.scratch import scratch_folder
from edgebert.subnet import Precision, Way
from edgebert.tasks.tasks import DEFAULT_TASK

# A row that is gathered costs the same in a table of any size. Words that the vocabulary lacks are one token each.
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_VOCABULARY = 1000


class Conditions(Record, frozen=True):
    """What latencies are measured under: tokens in a request, precision, and the way, None for the quick profile's.

    Of so many rounds the fastest median counts: what else runs on a machine only ever adds.
    """

    length: Count
    precision: Precision = "int8"
    threads: Count | None = None
    provider: Line | None = None
    rounds: Count = 3


class MeasuredArchitecture(Record, frozen=True):
    """The median latency of an architecture in each round so far."""

    architecture: Architecture
    rounds_ms: Annotated[tuple[Positive, ...], Meta(min_length=1)]


class Latencies(Record, frozen=True):
    """The file of what was measured so far: under which conditions, on which device and in which way."""

    VERSION: ClassVar[int] = 2

    schema_version: int
    conditions: Conditions
    device: Device
    way: Way
    measured: tuple[MeasuredArchitecture, ...]

    @property
    def rounds_ms(self) -> dict[Architecture, tuple[float, ...]]:
        """The medians of each architecture, one a round."""
        return {one.architecture: one.rounds_ms for one in self.measured}

    @property
    def by_architecture(self) -> dict[Architecture, float]:
        """The latency in ms of each architecture that was measured in all rounds: the fastest of its medians."""
        return {one: min(ms) for one, ms in self.rounds_ms.items() if len(ms) >= self.conditions.rounds}

    def __str__(self) -> str:
        conditions, drifts = self.conditions, [max(one.rounds_ms) / min(one.rounds_ms) for one in self.measured]
        what = f"{self.device}; {self.way}; {conditions.precision}, {conditions.length} tokens, median"
        drift = f"{median(drifts):.2f}x in the median, {max(drifts):.2f}x at worst"
        return f"{what}; the fastest of {conditions.rounds} rounds, which differ by {drift}"


@dataclass(frozen=True)
class Host:
    """Another machine that ssh knows by this name, and the command that starts edgebert there."""

    name: str
    command: str = "edgebert"


def read_latencies(path: Path, conditions: Conditions) -> Latencies | None:
    """Return what a file holds, None if there is none; damage and other conditions are a ProfileError."""
    if not path.exists():
        return None
    found = records.read(path, Latencies, ProfileError)
    if found.conditions != conditions:
        was, wanted = (msgspec.json.encode(one).decode() for one in (found.conditions, conditions))
        raise ProfileError(f"{path} was measured under other conditions: expected {wanted}, found {was}; give another")
    return found


def measure_latencies(
    architectures: Sequence[Architecture],
    conditions: Conditions,
    path: Path,
    *,
    host: Host | None = None,
    on_progress: Progress = no_progress,
) -> Latencies:
    """Return the latencies of architectures, and of those that were measured before, and keep them in the file `path`.

    What is in the file is not measured again, so that an interrupted measuring goes on where it was.

    Raises:
        ProfileError: the file is of other conditions or another device, or an architecture could not be measured.
        ExportError: a graph does not compute what it should, or there is no room for the candidates' bundles.
    """
    records.check_writable(path, ProfileError)
    found = read_latencies(path, conditions)
    # All of a hidden size and number of heads are slices of one bundle, so they are measured together.
    groups, total = by_pair(architectures), len(architectures) * conditions.rounds
    bundles: dict[tuple[Architecture, ...], Bundle] = {}
    with scratch_folder(path) as folder, _without_warnings():
        # Each round measures all before the next begins, so that a slow stretch of the machine spoils one of them.
        for this_round, group in itertools.product(range(conditions.rounds), groups):
            known = found.rounds_ms if found else {}
            together = tuple(one for one in group if len(known.get(one, ())) <= this_round)
            if not together:
                continue
            done = sum(min(len(known.get(one, ())), conditions.rounds) for one in architectures)
            on_progress(done, total, str(together[0]))
            if together not in bundles:
                bundles[together] = _bundle(together, conditions, folder / str(len(bundles)))
            found = _with(found, _profiled(bundles[together], conditions, host), together, conditions, path)
            # Written after each profile: an interruption loses one of them.
            records.write_bytes(path, records.encode(found), ProfileError)
            on_progress(done + len(together), total, str(together[-1]))
    assert found is not None, "all that is wanted has been measured"
    return found


def _bundle(together: Sequence[Architecture], conditions: Conditions, folder: Path) -> Bundle:
    """Return a new bundle that holds architectures of one hidden size and number of heads."""
    write_checkpoint(together, conditions.length, folder / "checkpoint")
    bundle = export(folder / "checkpoint", folder / "bundle", precisions=[conditions.precision])
    shutil.rmtree(folder / "checkpoint")  # its weights are in the bundle
    return bundle


def _profiled(bundle: Bundle, conditions: Conditions, host: Host | None) -> DeviceProfile:
    """Return a quick profile."""
    # One round and one way, about 5 s: rounds are made here, far apart in time.
    way: dict[str, Any] = {"threads": conditions.threads, "provider": conditions.provider}
    if host is None:
        return profile(bundle, lengths=[conditions.length], quick=True, **way)
    given = [word for name, value in way.items() if value is not None for word in (f"--{name}", str(value))]
    arguments = ["--lengths", str(conditions.length), *given, "--quick"]
    return profile_on(host.name, bundle, arguments, command=host.command)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep exporter and profiler from saying of each of many bundles that it has no quality and is measured quickly."""
    logger = logging.getLogger("edgebert")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _with(
    found: Latencies | None,
    profiled: DeviceProfile,
    together: Sequence[Architecture],
    conditions: Conditions,
    path: Path,
) -> Latencies:
    """Return what was found before with the medians of a profile added, if all are of one device and way."""
    rounds_ms = found.rounds_ms if found else {}
    entries = {entry.id: entry for entry in profiled.subnetworks}
    for one in together:
        name = f"{one}-{conditions.precision}"
        if name not in entries:
            reasons = "; ".join(left.reason for left in profiled.left_out if left.id == name)
            raise ProfileError(f"{name} could not be measured: {reasons}; leave such sizes out of the space")
        # The only length that is asked for.
        rounds_ms[one] = (*rounds_ms.get(one, ()), entries[name].latency[0].p50_ms)

    # Latencies of two machines, or of two ways to run graphs, cannot be compared.
    device, way = profiled.device, entries[name].way  # a quick profile has one way
    assert isinstance(device, Device)  # what profiles here and on a host is edgebert in Python
    if found and (found.device.fingerprint, found.way) != (device.fingerprint, way):
        expected = f"{found.device}; {found.way}"
        raise ProfileError(f"{path}: expected {expected}, found {device}; {way}; give another file")
    measured = tuple(MeasuredArchitecture(one, ms) for one, ms in rounds_ms.items())
    return Latencies(Latencies.VERSION, conditions, device, way, measured)


def write_checkpoint(together: Sequence[Architecture], length: int, folder: Path) -> None:
    """Write a random checkpoint that holds architectures of one hidden size and number of heads as slices."""
    # Slices are the first layers and neurons of the largest.
    depth, ffn = max(one.depth for one in together), max(one.ffn for one in together)
    largest = msgspec.structs.replace(together[0], depth=depth, ffn=ffn)
    # One position more than is measured, so that the profile is no whole one and is not cached.
    sizes = SharedSizes(vocabulary=_VOCABULARY, positions=length + 1, types=1, labels=2)
    builder = StudentBuilder(sizes, pad_id=0, layer_norm_eps=1e-12, task=DEFAULT_TASK(("LABEL_0", "LABEL_1")), seed=0)
    words = [*_SPECIAL, *(f"word{number}" for number in range(_VOCABULARY - len(_SPECIAL)))]
    try:
        with quiet():
            builder.student(largest).save_pretrained(folder)
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    except (OSError, SafetensorError) as problem:  # the latter where the disk is full
        raise ExportError(f"cannot write {folder}: {cause_of(problem)}; make room or choose another --work") from None
    ElasticManifest.of_slices("bort", "random", tuple(one.whole() for one in together)).save(folder)
