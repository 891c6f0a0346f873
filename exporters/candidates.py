"""Measures what architectures would cost, before any is trained: their latency hangs on shapes, not on weights.

A random checkpoint of the deepest and widest layers of one hidden size and number of heads holds all of that pair as
slices, which read one weight file. It goes through the exporter, which checks each graph, and through the profiler,
here or on another machine. Knows nothing about what a latency is good for.
"""

import itertools
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import save_file

from edgebert import records
from edgebert.device import Device
from edgebert.device_profile import DeviceProfile, Way
from edgebert.elastic.architecture import Architecture
from edgebert.elastic.manifest import ElasticManifest, Slice
from edgebert.errors import ExportError, ProfileError
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint import Array
from edgebert.exporters.families import bert
from edgebert.exporters.family import EMBEDDINGS
from edgebert.profiler import profile
from edgebert.progress import Progress, no_progress
from edgebert.records import Record
from edgebert.remote import profile_on
from edgebert.subnet import Precision

# A row that is gathered costs the same in a table of any size. Words that the vocabulary lacks are one token each.
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_VOCABULARY = 1000


class Conditions(Record, frozen=True):
    """What latencies are measured under: tokens in a request, precision, and the way, None for the quick profile's.

    Of so many rounds the fastest median counts: what else runs on a machine only ever adds.
    """

    length: int
    precision: Precision = "int8"
    threads: int | None = None
    provider: str | None = None
    rounds: int = 3


class Measured(Record, frozen=True):
    """The median latency of an architecture, in the fastest round."""

    architecture: Architecture
    ms: float


class Latencies(Record, frozen=True):
    """The file of what was measured so far: under which conditions, on which device and in which way."""

    schema_version: int
    conditions: Conditions
    device: Device
    way: Way
    measured: tuple[Measured, ...]

    @property
    def by_architecture(self) -> dict[Architecture, float]:
        """The median latency of each architecture, in ms."""
        return {one.architecture: one.ms for one in self.measured}

    def __str__(self) -> str:
        conditions = self.conditions
        return f"{self.device}; {self.way}; {conditions.precision}, {conditions.length} tokens, median"


@dataclass(frozen=True)
class Host:
    """Another machine that ssh knows by this name, and the command that starts edgebert there."""

    name: str
    command: str = "edgebert"


def read_latencies(path: Path, conditions: Conditions) -> Latencies | None:
    """Return what a file holds; None if there is none.

    Raises:
        ProfileError: it is damaged, or was measured under other conditions.
    """
    if not path.exists():
        return None
    found = records.read(path, Latencies, ProfileError)
    if found.conditions != conditions:
        was, wanted = (msgspec.json.encode(one).decode() for one in (found.conditions, conditions))
        raise ProfileError(f"{path} was measured under other conditions: expected {wanted}, found {was}; give another")
    return found


def measure(
    architectures: Iterable[Architecture],
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
    wanted = list(dict.fromkeys(architectures))
    found = read_latencies(path, conditions)
    known = found.by_architecture if found else {}
    missing = sorted((one for one in wanted if one not in known), key=_pair)
    done = len(wanted) - len(missing)
    for _, group in itertools.groupby(missing, key=_pair):
        together = list(group)
        on_progress(done, len(wanted), str(together[0]))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".candidates.") as folder:
            found = _with(found, _profiled(together, conditions, Path(folder), host), together, conditions, path)
        records.write_bytes(path, records.encode(found), ProfileError)
        done += len(together)
        on_progress(done, len(wanted), str(together[-1]))
    if found is None:
        raise ProfileError("expected architectures to measure, found none; give a larger space")
    return found


def _pair(one: Architecture) -> tuple[int, int]:
    return one.hidden, one.heads


def _profiled(
    together: Sequence[Architecture], conditions: Conditions, folder: Path, host: Host | None
) -> list[DeviceProfile]:
    """Return quick profiles, one a round, of architectures of one hidden size and number of heads."""
    write_checkpoint(together, conditions.length, folder / "checkpoint")
    bundle = export(folder / "checkpoint", folder / "bundle", precisions=[conditions.precision])
    shutil.rmtree(folder / "checkpoint")
    if host is None:
        lengths, threads, provider = [conditions.length], conditions.threads, conditions.provider
        return [
            profile(bundle, lengths=lengths, threads=threads, provider=provider, quick=True)
            for _ in range(conditions.rounds)
        ]
    words = {"--lengths": conditions.length, "--threads": conditions.threads, "--provider": conditions.provider}
    given = [word for name, value in words.items() if value is not None for word in (name, str(value))]
    words_there = [*given, "--quick"]
    return [profile_on(host.name, bundle, words_there, command=host.command) for _ in range(conditions.rounds)]


def _with(
    found: Latencies | None,
    rounds: Sequence[DeviceProfile],
    together: Sequence[Architecture],
    conditions: Conditions,
    path: Path,
) -> Latencies:
    """Return what was found before with the medians of profiles added, if all are of one device and way."""
    new = []
    for one in together:
        name = f"{one}-{conditions.precision}"
        entries = [entry for profiled in rounds for entry in profiled.subnetworks if entry.id == name]
        if not entries:
            reasons = {left.reason for profiled in rounds for left in profiled.left_out if left.id == name}
            raise ProfileError(f"{name} could not be measured: {'; '.join(reasons)}; leave such sizes out of the space")
        new.append(Measured(one, min(entry.latency[0].p50_ms for entry in entries)))
    device, ways = rounds[0].device, {entry.way for profiled in rounds for entry in profiled.subnetworks}
    if found and (found.device.fingerprint != device.fingerprint or {found.way} != ways):
        seen = f"{device}; {', '.join(map(str, ways))}"
        raise ProfileError(f"{path}: expected {found.device}; {found.way}, found {seen}; give another file")
    return Latencies(
        schema_version=Latencies.VERSION,
        conditions=conditions,
        device=device,
        way=ways.pop(),
        measured=(*(found.measured if found else ()), *new),
    )


def write_checkpoint(together: Sequence[Architecture], length: int, folder: Path) -> None:
    """Write a random checkpoint that holds some architectures of one hidden size and number of heads as slices.

    Raises:
        ExportError: there is no room.
    """
    depth, ffn = max(one.depth for one in together), max(one.ffn for one in together)
    heads, hidden = together[0].heads, together[0].hidden
    config = {
        "model_type": "bert",
        "architectures": list(bert.FAMILY.architectures),
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "vocab_size": _VOCABULARY,
        # One more than is measured, so that the profile is no whole one and is not cached.
        "max_position_embeddings": length + 1,
        "type_vocab_size": 1,
    }
    sizes = {
        "hidden": hidden,
        "embedding": hidden,
        "ffn": ffn,
        "vocabulary": _VOCABULARY,
        "positions": length + 1,
        "types": 1,
        "labels": 2,
    }
    slices = tuple(
        Slice(str(one), tuple(range(one.depth)), (heads,) * one.depth, (one.ffn,) * one.depth) for one in together
    )
    manifest = ElasticManifest(
        schema_version=ElasticManifest.VERSION,
        method="bort",
        widths=(),
        depths=(),
        rewired=False,
        origin="random",
        subnetworks=slices,
    )
    try:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        words = [*_SPECIAL, *(f"word{number}" for number in range(_VOCABULARY - len(_SPECIAL)))]
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        save_file(_tensors(depth, sizes), folder / "model.safetensors")
    except OSError as problem:
        raise ExportError(f"cannot write {folder}: {problem.strerror}; make room or choose another --work") from None
    manifest.save(folder)


def _tensors(depth: int, sizes: dict[str, int]) -> dict[str, Array]:
    """Return random tensors by BERT's names; all layers have the same ones, each its own copy of them."""
    generator = np.random.default_rng(0)
    drawn: dict[tuple[str, tuple[int, ...]], Array] = {}
    tensors = {}
    for ours, theirs, words in bert.FAMILY.tensors(depth, projected=False):
        shape = tuple(sizes[word] for word in words)
        unit = ours.lstrip("0123456789.")
        if (unit, shape) not in drawn:
            drawn[unit, shape] = _random(generator, unit, shape)
        tensors[theirs] = drawn[unit, shape].copy()
    return tensors


def _random(generator: np.random.Generator, unit: str, shape: tuple[int, ...]) -> Array:
    """Return a tensor with which what goes into a product with a variance of 1 comes out with about that."""
    if len(shape) == 1:
        return np.full(shape, 1.0 if unit.endswith("norm.weight") else 0.0, np.float32)
    spread = np.float32(1 if unit in EMBEDDINGS else shape[1] ** -0.5)
    return generator.standard_normal(shape, np.float32) * spread
