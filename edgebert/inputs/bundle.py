"""The bundle: the folder that goes to the device, described by bundle.json.

Every file is checked against its hash before it is used, and none may lie outside the folder.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgebert import records
from edgebert.errors import BundleError, listed
from edgebert.inputs.graph_file import Reference, references
from edgebert.python_exit import Pool
from edgebert.records import Record
from edgebert.subnet import Flavor, Storage, Subnet

BUILTIN = Path(__file__).parent.parent / "builtin"
MANIFEST = "bundle.json"

PIECE_BYTES = 1 << 18  # of a weight file, checked at once
_DIGEST_BYTES = 32
_HASHING_THREADS = 3  # beside the one that loads: hashing is half of the time that loading takes

# The metric of a quality that needs no labels: how often a sub-network answers as the full one does.
FIDELITY = "fidelity"

Share = Annotated[float, Meta(ge=0, le=1)]
MetricValue = Annotated[float, Meta(ge=-1, le=1)]  # correlations may be negative
GraphInput = Literal["input_ids", "attention_mask", "token_type_ids"]


class FileRef(Record, frozen=True):
    """A file of the bundle and its SHA-256, in hexadecimal."""

    file: str
    sha256: str


class WeightFile(Record, frozen=True):
    """The weights that all graphs of one storage type refer into."""

    file: str
    dtype: Storage
    size_bytes: int
    sha256: str
    # The file of the SHA-256 of every `PIECE_BYTES`, one after the other: a small sub-network is checked without
    # reading what it does not use.
    pieces: FileRef


class Quality(Record, frozen=True):
    """How good a sub-network is at its task on so many samples of a named dataset; higher is better."""

    metric: str  # the task's first one, or `FIDELITY`
    value: MetricValue
    samples: Annotated[int, Meta(ge=1)]
    dataset: str
    also: dict[str, MetricValue]  # other metrics on the same data


class ExportDifference(Record, frozen=True):
    """How far a sub-network's graphs are from the same slice of the checkpoint in float32."""

    max_abs_difference: float  # the largest of an output
    # How often both give the same answer, and how much lower the graph's quality is, on the data of the quality.
    agreement: MetricValue | None
    quality_drop: float | None


class ExportedSubnet(Subnet, frozen=True):
    """A sub-network of a bundle: its slice, its size, its graphs and what is known of its quality."""

    hidden_size: int
    parameters: int
    graphs: dict[Flavor, FileRef]
    quality: Quality | None
    export_error: ExportDifference


class Manifest(Record, frozen=True):
    """What bundle.json holds.

    `pairs` says whether texts come with a second one; `answers` is None without labelled data or a cascade of the task.
    """

    VERSION: ClassVar[int] = 4

    schema_version: int
    name: str
    edgebert_version: str
    task: str
    labels: Annotated[tuple[str, ...], Meta(min_length=1)]
    max_length: Annotated[int, Meta(ge=2, le=2**20)]
    tokenizer: FileRef
    inputs: Annotated[tuple[GraphInput, ...], Meta(min_length=1)]
    pairs: bool
    golden: FileRef
    answers: FileRef | None
    weight_files: tuple[WeightFile, ...]
    subnetworks: tuple[ExportedSubnet, ...]

    @property
    def methods(self) -> dict[str, str]:
        """The method that made each sub-network, by its id."""
        return {subnet.id: subnet.method for subnet in self.subnetworks}

    @property
    def qualities(self) -> dict[str, float]:
        """The quality of each sub-network that has a known one, by its id; all are of the same metric."""
        return {subnet.id: subnet.quality.value for subnet in self.subnetworks if subnet.quality}

    @property
    def metric(self) -> str | None:
        """The metric of the known qualities; None if no quality is known."""
        return next((subnet.quality.metric for subnet in self.subnetworks if subnet.quality), None)


class GoldenValues(Record, frozen=True):
    """One output that a graph must give for the golden inputs, within `tolerance` on average over texts.

    `values` are flat, in row-major order of `shape`, whose first dimension is that of the texts.
    """

    name: str
    shape: tuple[Annotated[int, Meta(ge=1)], ...]
    values: tuple[float, ...]
    tolerance: Annotated[float, Meta(gt=0)]

    def __post_init__(self) -> None:
        if math.prod(self.shape) != len(self.values):
            raise ValueError(f"expected values of shape {self.shape} for {self.name}, found {len(self.values)}")

    @property
    def array(self) -> NDArray[np.float32]:
        """The values as an array of their shape."""
        return np.array(self.values, np.float32).reshape(self.shape)


class GoldenOutput(Record, frozen=True):
    """What a sub-network must give for the golden inputs."""

    id: str
    values: tuple[GoldenValues, ...]


class Golden(Record, frozen=True):
    """Texts, the graph inputs (batch, length) that they become, and what every sub-network gives for them."""

    VERSION: ClassVar[int] = 2

    schema_version: int
    texts: tuple[str, ...]
    inputs: dict[str, tuple[tuple[int, ...], ...]]
    outputs: tuple[GoldenOutput, ...]

    def values_of(self, subnet_id: str) -> tuple[GoldenValues, ...]:
        """Return what a sub-network must give; nothing if that is not known."""
        return next((output.values for output in self.outputs if output.id == subnet_id), ())


class SubnetAnswers(Record, frozen=True):
    """What a sub-network's answers to the evaluation data are worth, one after the other.

    The metric is the sum of `gained` over that of `possible`; `confidences` say how sure each answer is.
    """

    id: str
    # Rounded down to four digits: they lie on the same side of a threshold of two digits as the scores themselves.
    confidences: tuple[Share, ...]
    gained: tuple[Annotated[int, Meta(ge=0)], ...]
    possible: tuple[Annotated[int, Meta(ge=0)], ...]


class Answers(Record, frozen=True):
    """The answers of every sub-network to the samples of a named dataset, in their order."""

    VERSION: ClassVar[int] = 2

    schema_version: int
    dataset: str
    samples: Annotated[int, Meta(ge=1)]
    subnetworks: tuple[SubnetAnswers, ...]

    def __post_init__(self) -> None:
        for one in self.subnetworks:
            counts = [len(one.confidences), len(one.gained), len(one.possible)]
            if counts != [self.samples] * 3:
                found = "{} confidences, {} gained and {} possible".format(*counts)
                raise ValueError(f"expected {self.samples} of each for {one.id}, found {found}")


@dataclass(frozen=True)
class Bundle:
    """A bundle folder whose manifest has been read and whose files are there; `sha256` is the manifest's own."""

    path: Path
    manifest: Manifest
    sha256: str

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bundle":
        """Read a bundle's manifest and check that its files are in place; without a path, the built-in bundle.

        Raises:
            BundleError: no bundle there, a manifest of another version or form, a missing or truncated file.
        """
        folder = Path(path).absolute() if path is not None else BUILTIN
        if not (folder / MANIFEST).is_file():
            expected = f"expected a folder with {MANIFEST}; make one with edgebert export"
            raise BundleError(f"no bundle at {folder}: {expected}")
        content = records.read_bytes(folder / MANIFEST, BundleError)
        manifest = records.decode(content, Manifest, folder / MANIFEST, BundleError)
        bundle = cls(folder, manifest, hashlib.sha256(content).hexdigest())
        bundle._check()
        return bundle

    def _check(self) -> None:
        manifest, name = self.manifest, self.path / MANIFEST
        for file in self.files():
            self._locate(file.file)
        # Hashes are checked when a file is used; a copy that was broken off is found at once.
        for weights in manifest.weight_files:
            found = (self.path / weights.file).stat().st_size
            if found != weights.size_bytes:
                advice = "it was truncated or altered: copy the bundle again"
                raise BundleError(f"{weights.file}: expected {weights.size_bytes} bytes, found {found}; {advice}")
        for subnet in manifest.subnetworks:
            if not len(subnet.layers) == len(subnet.heads) == len(subnet.ffn) > 0:
                raise BundleError(f"{name}: {subnet.id} must give heads and ffn for each of its layers")

        if len(set(manifest.labels)) != len(manifest.labels):
            raise BundleError(f"{name}: expected different labels, found {list(manifest.labels)}")
        # Profiles, golden outputs and answers name sub-networks by their ids.
        ids = [subnet.id for subnet in manifest.subnetworks]
        if not ids or len(set(ids)) != len(ids):
            raise BundleError(f"{name}: expected sub-networks with ids of their own, found {ids}")
        # Choosing compares qualities, and those of two metrics cannot be compared.
        metrics = sorted({subnet.quality.metric for subnet in manifest.subnetworks if subnet.quality})
        if len(metrics) > 1:
            raise BundleError(f"{name}: expected qualities of one metric, found {' and '.join(metrics)}")

    def files(self) -> Iterable[FileRef | WeightFile]:
        """Return every file that the manifest names."""
        graphs = [graph for subnet in self.manifest.subnetworks for graph in subnet.graphs.values()]
        pieces = [weights.pieces for weights in self.manifest.weight_files]
        answers = [self.manifest.answers] if self.manifest.answers else []
        return [self.manifest.tokenizer, self.manifest.golden, *answers, *self.manifest.weight_files, *pieces, *graphs]

    def subnet(self, subnet_id: str) -> ExportedSubnet:
        """Return the sub-network of that name.

        Raises:
            BundleError: there is none; the message lists those there are.
        """
        for subnet in self.manifest.subnetworks:
            if subnet.id == subnet_id:
                return subnet
        known = listed([subnet.id for subnet in self.manifest.subnetworks])
        raise BundleError(f"no sub-network '{subnet_id}' in bundle '{self.manifest.name}'; choose one of {known}")

    def verified(self, file: FileRef | WeightFile) -> bytes:
        """Return a file's content after checking its hash.

        Raises:
            BundleError: the file is missing, outside the bundle, or not what was exported.
        """
        # Whoever asks gets the bytes that were hashed: a file that is altered later is not read again.
        content = records.read_bytes(self._locate(file.file), BundleError)
        digest = hashlib.sha256(content).hexdigest()
        if digest != file.sha256:
            raise self._altered(file.file, file.sha256, digest)
        return content

    def graph(self, subnet: ExportedSubnet, flavor: Flavor) -> bytes:
        """Return a sub-network's ONNX graph after checking its hash; `check_weights` does so for what it refers to.

        Raises:
            BundleError: no such flavor, or an altered file.
        """
        if flavor not in subnet.graphs:
            raise BundleError(f"{subnet.id} has no {flavor} graph; choose one of {', '.join(subnet.graphs)}")
        return self.verified(subnet.graphs[flavor])

    def parts(self, graph: bytes, name: str) -> dict[WeightFile, list[Reference]]:
        """Return what a graph refers to in which weight files.

        Raises:
            BundleError: it refers to a file which is not the bundle's; nothing may open it.
        """
        weights = {file.file: file for file in self.manifest.weight_files}
        used: dict[WeightFile, list[Reference]] = {}
        for reference in references(graph, name):
            if reference.file not in weights:
                found = f"the graph of {name} reads '{reference.file}', no weight file of its bundle"
                advice = "do not use this bundle unless you trust where it comes from; export it again"
                raise BundleError(f"{found}; {advice}")
            used.setdefault(weights[reference.file], []).append(reference)
        return used

    def check_weights(self, used: Mapping[WeightFile, Iterable[Reference]]) -> None:
        """Check the pieces of the weight files that hold some parts of them.

        Raises:
            BundleError: one was altered.
        """
        for weights, parts in used.items():
            digests = self.verified(weights.pieces)
            needed = sorted({piece for part in parts for piece in _pieces(part, weights.size_bytes)})
            if needed and (needed[-1] + 1) * _DIGEST_BYTES > len(digests):
                raise BundleError(f"{weights.pieces.file} is too short for {weights.file}; export the bundle again")
            check_pieces = partial(self._check_pieces, weights.file, digests)
            with Pool(_HASHING_THREADS) as pool:
                list(pool.map(check_pieces, (needed[n::_HASHING_THREADS] for n in range(_HASHING_THREADS))))

    def _check_pieces(self, file: str, digests: bytes, pieces: Sequence[int]) -> None:
        """Check the pieces of those numbers."""
        buffer = memoryview(bytearray(PIECE_BYTES))
        with open(self._locate(file), "rb", buffering=0) as content:
            for piece in pieces:
                content.seek(piece * PIECE_BYTES)
                digest = hashlib.sha256(buffer[: content.readinto(buffer)]).digest()
                expected = digests[piece * _DIGEST_BYTES :][:_DIGEST_BYTES]
                if digest != expected:
                    raise self._altered(file, expected.hex(), digest.hex())

    def golden(self) -> Golden:
        """Return the golden inputs and outputs.

        Raises:
            BundleError: they are not what was exported.
        """
        return records.decode(self.verified(self.manifest.golden), Golden, self.manifest.golden.file, BundleError)

    def answers(self) -> Answers | None:
        """Return the answers to the evaluation data, None if the bundle was exported without.

        Raises:
            BundleError: they are not what was exported.
        """
        file = self.manifest.answers
        if file is None:
            return None
        answers = records.decode(self.verified(file), Answers, file.file, BundleError)
        ids, found = [subnet.id for subnet in self.manifest.subnetworks], [one.id for one in answers.subnetworks]
        if found != ids:
            advice = "export the bundle again"
            raise BundleError(f"{file.file}: expected answers of {ids}, found those of {found}; {advice}")
        return answers

    def _locate(self, file: str) -> Path:
        """Return a file's path, if it is a plain file of the bundle's own folder and not a link out of it."""
        path = self.path / file
        # A bundle may come from anywhere: no path, link or hidden file of it leads to what is not its own.
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", file) or path.is_symlink():
            raise BundleError(f"{self.path / MANIFEST}: expected a plain file of the bundle's folder, found '{file}'")
        if not path.is_file():
            raise BundleError(f"{path} is missing; copy the bundle again")
        return path

    def _altered(self, file: str, expected: str, found: str) -> BundleError:
        hashes = f"expected sha256 {expected[:12]}..., found {found[:12]}..."
        return BundleError(f"{self.path / file} was altered: {hashes}; copy the bundle again")


def _pieces(part: Reference, file_bytes: int) -> range:
    """Return the numbers of the pieces of a file of so many bytes that hold a part of it."""
    size = file_bytes - part.start if part.size is None else part.size
    return range(part.start // PIECE_BYTES, -(-(part.start + size) // PIECE_BYTES))
