"""What bundle.json says: the files of a bundle, its sub-networks, and what is known of them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from edgebert import records
from edgebert.errors import BundleError, listed
from edgebert.inputs.bundle_file import MOST_BYTES
from edgebert.records import Count, Line, Record, Sha256
from edgebert.subnet import Flavor, Storage, Subnet

# The metric of a quality that needs no labels: how often a sub-network answers as the full one does.
FIDELITY = "fidelity"

# Here as well as in `tasks`, which this package knows nothing of: what cannot be used is refused when it is read.
TASK_NAMES = (
    "text-classification",
    "multi-label-text-classification",
    "text-regression",
    "question-answering",
    "sentence-embedding",
    "token-classification",
)
# Beyond what any of these models was trained for.
MAX_LENGTH = 1 << 20

MetricValue = Annotated[float, Meta(ge=-1, le=1)]  # correlations may be negative
GraphInput = Literal["input_ids", "attention_mask", "token_type_ids"]


class FileRef(Record, frozen=True):
    """A file of the bundle, its size and its SHA-256, in hexadecimal."""

    file: Line
    size_bytes: Annotated[int, Meta(ge=0, le=MOST_BYTES)]
    sha256: Sha256

    @classmethod
    def of(cls, name: str, content: bytes) -> "FileRef":
        """Return what a manifest says of a file of that content."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


class WeightFile(Record, frozen=True):
    """The weights that all graphs of one storage type refer into."""

    file: str
    dtype: Storage
    size_bytes: Count
    sha256: Sha256
    # The file of its pieces and their hashes (inputs/pieces.py).
    pieces: FileRef


class Quality(Record, frozen=True):
    """How good a sub-network is at its task on so many samples of a named dataset; higher is better."""

    metric: Line  # the task's first one, or `FIDELITY`
    value: MetricValue
    samples: Annotated[int, Meta(ge=1)]
    dataset: Line
    also: dict[Line, MetricValue]  # other metrics on the same data


class ExportDifference(Record, frozen=True):
    """How far a sub-network's graphs are from the same slice of the checkpoint in float32."""

    max_abs_difference: Annotated[float, Meta(ge=0)]  # the largest of an output
    # How often both give the same answer, and how much lower the graph's quality is, on the data of the quality.
    agreement: MetricValue | None
    quality_drop: float | None


class ExportedSubnet(Subnet, frozen=True):
    """A sub-network of a bundle: its slice, its size, its graphs and what is known of its quality."""

    hidden_size: Count
    parameters: Count
    graphs: dict[Flavor, FileRef]
    quality: Quality | None
    export_error: ExportDifference
    # Of question-answering: the logarithm of how many times likelier no answer must be than the best one to be given;
    # None where it is given only on demand.
    no_answer_threshold: Annotated[float, Meta(ge=-1000, le=1000)] | None


class EmbeddingSettings(Record, frozen=True):
    """What is known of the vectors that graphs of sentence-embedding put out.

    Bundles of one `space` put texts at the same places, whatever their precisions and sub-networks. `dims` are the
    numbers of dimensions that vectors may be cut to, all of them first. `prompts` are put before texts that are asked
    for by their names, that of `default_prompt` before all others.
    """

    space: Sha256
    dims: Annotated[tuple[Count, ...], Meta(min_length=1)]
    is_normalized: bool
    similarity: Literal["cosine", "dot", "euclidean", "manhattan"]
    prompts: dict[Line, str]
    default_prompt: Line | None

    def contradictions(self) -> Iterator[str]:
        """Yield what makes no sense."""
        if list(self.dims) != sorted(set(self.dims), reverse=True):
            yield f"expected dims from the most down, found {', '.join(map(str, self.dims))} at $.embedding.dims"
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            yield f"expected a prompt {self.default_prompt!r} of $.embedding.default_prompt, found none"


class Manifest(Record, frozen=True):
    """What bundle.json holds.

    `sha256` is that of bundle.json itself without these 64 digits: what decides an answer stands there, or in a file
    whose hash does. `pairs` says whether texts come with a second one; `answers` is None without labelled data or a
    cascade of the task.
    """

    VERSION: ClassVar[int] = 8

    schema_version: int
    sha256: str
    name: Line
    edgebert_version: Line
    task: Line
    # No control characters: a label stands in lines of tables and of files of answers.
    labels: tuple[Line, ...]
    embedding: EmbeddingSettings | None
    max_length: Annotated[int, Meta(ge=2, le=MAX_LENGTH)]
    tokenizer: FileRef
    inputs: Annotated[tuple[GraphInput, ...], Meta(min_length=1)]
    pairs: bool
    # Whether the int8 weights lie within plus and minus 63: then no processor's sums of their products saturate.
    reduce_range: bool
    golden: FileRef
    answers: FileRef | None
    weight_files: tuple[WeightFile, ...]
    subnetworks: tuple[ExportedSubnet, ...]

    def content(self) -> bytes:
        """Return the content of bundle.json, with its own hash in it."""
        blank = records.encode(msgspec.structs.replace(self, sha256=""))
        # The first in the file is its own, since only the version stands before it.
        digest = f'"sha256": "{hashlib.sha256(blank).hexdigest()}"'
        return blank.replace(b'"sha256": ""', digest.encode(), 1)

    def check_content(self, content: bytes, path: Path) -> None:
        """Check that this was read from a bundle.json that holds what its own hash is of.

        Raises:
            BundleError: a value in it was altered.
        """
        found = hashlib.sha256(content.replace(self.sha256.encode(), b"", 1)).hexdigest()
        if found != self.sha256:
            hashes = f"expected sha256 {self.sha256[:12]}..., found {found[:12]}..."
            raise BundleError(f"{path} was altered: {hashes}; copy the bundle again, or export it with other values")

    def contradictions(self) -> Iterator[str]:
        """Yield what this version cannot use, and what makes no sense."""
        if self.task not in TASK_NAMES:
            known = ", ".join(TASK_NAMES)
            yield f"task '{self.task}' is not supported by this version, expected one of {known} at $.task"
        if self.embedding is not None:
            yield from self.embedding.contradictions()
        if len(set(self.labels)) != len(self.labels):
            yield f"expected different labels, found {listed(self.labels)}"
        for subnet in self.subnetworks:
            if not len(subnet.layers) == len(subnet.heads) == len(subnet.ffn) > 0:
                yield f"expected heads and ffn for each layer of {subnet.id}"
        # Profiles, golden outputs and answers name sub-networks by their ids.
        ids = [subnet.id for subnet in self.subnetworks]
        if not ids or len(set(ids)) != len(ids):
            yield f"expected sub-networks with ids of their own, found {listed(ids) or 'none'}"
        # Choosing compares qualities, and those of two metrics cannot be compared.
        metrics = sorted({subnet.quality.metric for subnet in self.subnetworks if subnet.quality})
        if len(metrics) > 1:
            yield f"expected qualities of one metric, found {listed(metrics)}"

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
