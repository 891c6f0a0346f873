"""The bundle: the folder that goes to the device, described by bundle.json.

Every file is checked against its hash before it is used, and none may lie outside the folder.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgebert import records
from edgebert.errors import BundleError, listed
from edgebert.inputs.bundle_file import MANIFEST, WeightParts, locate, read_checked, read_whole
from edgebert.inputs.graph_file import Reference, moved, references
from edgebert.inputs.manifest import ExportedSubnet, FileRef, GraphInput, Manifest, WeightFile
from edgebert.inputs.pieces import Pieces
from edgebert.records import Record, Share
from edgebert.subnet import Flavor

BUILTIN = Path(__file__).parent.parent / "builtin"

TokenNumber = Annotated[int, Meta(ge=0, lt=2**31)]


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
    inputs: dict[GraphInput, tuple[tuple[TokenNumber, ...], ...]]
    outputs: tuple[GoldenOutput, ...]

    def __post_init__(self) -> None:
        shapes = {(len(rows), len(row)) for rows in self.inputs.values() for row in rows}
        if len(shapes) != 1 or shapes.pop()[0] != len(self.texts) or "input_ids" not in self.inputs:
            raise ValueError(f"expected rows of one length for each of {len(self.texts)} texts")

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
    """A bundle folder whose manifest has been read and whose files are there."""

    path: Path
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """The hash that the manifest holds of itself, and so of all that it names."""
        return self.manifest.sha256

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bundle":
        """Read a bundle's manifest and check that its files are in place; without a path, the built-in bundle.

        Raises:
            BundleError: no bundle there, a manifest of another version, form or content, a missing or truncated file.
        """
        folder = Path(path).absolute() if path is not None else BUILTIN
        name = folder / MANIFEST
        if not name.is_file():
            expected = f"expected a folder with {MANIFEST}; make one with edgebert export"
            raise BundleError(f"no bundle at {folder}: {expected}")
        content = read_whole(name)
        manifest = records.decode(content, Manifest, name, BundleError)
        manifest.check_content(content, name)
        bundle = cls(folder, manifest)
        with bundle.unreplaced():
            for file in bundle.files():
                bundle._located(file)
        return bundle

    @contextlib.contextmanager
    def unreplaced(self) -> Iterator[None]:
        """Give a context in which files of this bundle are read: of one that was replaced the error is that it was.

        Raises:
            BundleError: what is read is not what was exported, or of another bundle that is at this path now.
        """
        try:
            yield
        except BundleError:
            if self._is_replaced():
                reason = f"the bundle at {self.path} was replaced since it was loaded"
                raise BundleError(f"{reason}; load it again") from None
            raise

    def _is_replaced(self) -> bool:
        """Return whether another bundle is at this path now."""
        with contextlib.suppress(BundleError):
            # A manifest holds its own hash. Where there is none, what is missing is the better reason.
            return self.sha256.encode() not in read_whole(self.path / MANIFEST)
        return False

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

    def verified(self, file: FileRef) -> bytes:
        """Return a file's content after checking its hash.

        Raises:
            BundleError: the file is missing, outside the bundle, or not what was exported.
        """
        with self.unreplaced():
            return read_checked(self._located(file), file.sha256)

    def graph(self, subnet: ExportedSubnet, flavor: Flavor) -> bytes:
        """Return a sub-network's ONNX graph after checking its hash; `weights` does so for what it refers to.

        Raises:
            BundleError: no such flavor, or an altered file.
        """
        if flavor not in subnet.graphs:
            raise BundleError(f"{subnet.id} has no {flavor} graph; choose one of {', '.join(subnet.graphs)}")
        return self.verified(subnet.graphs[flavor])

    def open_graph(self, subnet: ExportedSubnet, flavor: Flavor) -> "OpenGraph":
        """Return a sub-network's verified graph, and the parts of the weight file that it reads, which are still to be
        checked.

        Raises:
            BundleError: no such flavor, an altered file, or a graph that reads anything but one of the weight files.
        """
        graph = self.graph(subnet, flavor)
        used = references(graph, f"{subnet.id}, {flavor}")
        files = {file.file: file for file in self.manifest.weight_files}
        named = sorted({reference.file for reference in used})
        if len(named) != 1 or named[0] not in files:
            found = f"the graph of {subnet.id} reads {listed([ascii(name) for name in named]) or 'nothing'}"
            advice = "do not use this bundle unless you trust where it comes from; export it again"
            raise BundleError(f"{found}, no weight file of its bundle; {advice}")

        weights = files[named[0]]
        # Before pieces are counted: a place may be given as any number.
        if max(reference.start + reference.size for reference in used) > weights.size_bytes:
            raise BundleError(f"{weights.file} is too short for the graph of {subnet.id}; export the bundle again")
        parts = self.open_weights(weights, used)
        # ONNX Runtime refuses links out of a graph's folder, and so gets the file that one leads to.
        graph = graph if parts.path.name == weights.file else moved(graph, weights.file, parts.path.name)
        return OpenGraph(graph, parts)

    def open_weights(self, weights: WeightFile, used: Sequence[Reference] = ()) -> WeightParts:
        """Return the pieces of a weight file that hold what is used of it, which are still to be checked.

        Raises:
            BundleError: the file or that of its pieces is missing or not what was exported.
        """
        pieces = Pieces.read(self.verified(weights.pieces), weights.size_bytes, weights.file)
        read = {piece for part in used for piece in pieces.between(part.start, part.start + part.size)}
        return WeightParts(self._located(weights), pieces, sorted(read))

    def golden(self) -> Golden:
        """Return the golden inputs and outputs.

        Raises:
            BundleError: they are not what was exported.
        """
        file = self.manifest.golden
        golden = records.decode(self.verified(file), Golden, file.file, BundleError)
        if not golden.inputs.keys() >= set(self.manifest.inputs):
            expected, found = listed(self.manifest.inputs), listed(list(golden.inputs))
            raise BundleError(f"{file.file}: expected inputs {expected}, found {found}; export the bundle again")
        return golden

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
            raise BundleError(
                f"{file.file}: expected answers of {listed(ids)}, found those of {listed(found)}; {advice}"
            )
        return answers

    def _located(self, file: FileRef | WeightFile) -> Path:
        return locate(self.path, file.file, file.size_bytes)


@dataclass(frozen=True)
class OpenGraph:
    """An ONNX graph, verified, and the parts of the one weight file that it reads, in the folder of that file."""

    content: bytes
    weights: WeightParts
