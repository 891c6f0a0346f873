"""Writes the files of a bundle: for each checkpoint its tensors first, then the graphs of its sub-networks."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebert import records
from edgebert.errors import EdgeBertError, ExportError
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.graph import build_graph
from edgebert.exporters.quantize import InputRoundings
from edgebert.exporters.weights import Weights, WeightWriter, prepared, rows_read
from edgebert.inputs.bundle import Answers, Bundle, Golden
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.graph_file import references
from edgebert.inputs.manifest import ExportDifference, ExportedSubnet, FileRef, GraphInput, Manifest
from edgebert.subnet import Flavor, Storage, Subnet, storage_of

FLAVORS: tuple[Flavor, ...] = ("fused", "portable")


@dataclass(frozen=True)
class GraphWriter:
    """Writes the graphs of one checkpoint's sub-networks, with the inputs that they take and the weights they refer to.

    `bundle` is what is there so far, to run sub-networks that were added.
    """

    source: Checkpoint
    inputs: tuple[GraphInput, ...]
    weights: dict[Storage, Weights]
    bundle: Bundle

    def add(self, subnet: Subnet, roundings: InputRoundings, flavors: Sequence[Flavor] = FLAVORS) -> ExportedSubnet:
        """Write the graphs of a sub-network; those that it had are replaced."""
        weights = self.weights[storage_of(subnet.precision)]
        graphs = {
            flavor: build_graph(subnet, flavor, self.source, self.inputs, weights, roundings) for flavor in flavors
        }
        return ExportedSubnet(
            **msgspec.structs.asdict(subnet),
            hidden_size=self.source.sizes.hidden,
            parameters=parameters_of(subnet, self.source),
            graphs={f: _write(self.bundle.path, f"{subnet.id}.{f}.onnx", graph) for f, graph in graphs.items()},
            # Both are known when the graphs have been run.
            quality=None,
            export_error=ExportDifference(max_abs_difference=0.0, agreement=None, quality_drop=None),
            no_answer_threshold=None,
        )

    def that_shows_read(self, subnet: Subnet, roundings: InputRoundings, flavor: Flavor) -> bytes:
        """Return a graph of a sub-network that also puts out what enters the product of each unit."""
        weights = self.weights[storage_of(subnet.precision)]
        return build_graph(subnet, flavor, self.source, self.inputs, weights, roundings, shows_read=True)


class BundleWriter:
    """Writes a bundle into a folder: its tokenizer, weight files that grow, and a manifest that grows with them."""

    def __init__(self, manifest: Manifest, tokenizer: bytes, folder: Path, storages: Sequence[Storage]):
        self._folder, self._tokenizer = folder, tokenizer
        self._writers = {
            storage: WeightWriter(folder, storage, reduce_range=manifest.reduce_range) for storage in storages
        }
        self.manifest = msgspec.structs.replace(manifest, tokenizer=_write(folder, "tokenizer.json", tokenizer))

    @property
    def bundle(self) -> Bundle:
        """The bundle as far as it is written."""
        # Its hash is empty: it is that of the finished manifest.
        return Bundle(self._folder, self.manifest)

    def begin(self, source: Checkpoint, subnets: Sequence[Subnet]) -> GraphWriter:
        """Write what sub-networks read of a checkpoint's tensors into the weight file of each storage type.

        Raises:
            ExportError: they cannot be written.
        """
        # A model may tell no types apart where another one of the bundle does: its graphs then lack that input.
        types = "token_type_ids" in self.manifest.inputs and source.token_types
        tensors = prepared(source, self.manifest.max_length, token_types=types)
        rows = rows_read(subnets, source.sizes)
        weights = {storage: writer.add(tensors, rows) for storage, writer in self._writers.items()}

        files = tuple(written.file for written in weights.values())
        self.manifest = msgspec.structs.replace(self.manifest, weight_files=files)
        return GraphWriter(source, graph_inputs(token_types=types), weights, self.bundle)

    @contextlib.contextmanager
    def in_float(self) -> Iterator["BundleWriter"]:
        """Give a writer of the same bundle in float32, still empty, whose folder is removed at the end."""
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            yield BundleWriter(self.manifest, self._tokenizer, Path(scratch), ["fp32"])

    def finish(self, subnets: Sequence[ExportedSubnet], golden: Golden, answers: Answers | None) -> None:
        """Write what is left, and check that the folder is a bundle now."""
        folder = self._folder
        graphs = [(subnet, flavor) for subnet in subnets for flavor in subnet.graphs]
        used = [references(self.bundle.graph(subnet, flavor), subnet.id) for subnet, flavor in graphs]
        # Both are mostly numbers: on one line they take the least bytes.
        manifest = msgspec.structs.replace(
            self.manifest,
            golden=_write(folder, "golden.json", records.encode(golden, indent=0)),
            answers=_write(folder, "answers.json", records.encode(answers, indent=0)) if answers else None,
            weight_files=tuple(writer.described(used) for writer in self._writers.values()),
            subnetworks=tuple(subnets),
        )
        # Last: a folder without a manifest is no bundle, whatever interrupts this.
        records.write_bytes(folder / MANIFEST, manifest.content(), ExportError)
        Bundle.load(folder)


def graph_inputs(*, token_types: bool) -> tuple[GraphInput, ...]:
    """Return the inputs of graphs, with or without the one that tells the texts of a pair apart."""
    return ("input_ids", "attention_mask", *(("token_type_ids",) if token_types else ()))


def files_named_in(folder: Path) -> set[str]:
    """Return all that a bundle's manifest names, its files among it, whatever its version; nothing if it is damaged."""
    found: set[str] = set()
    with contextlib.suppress(EdgeBertError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        unread = [msgspec.json.decode(records.read_bytes(folder / MANIFEST, ExportError))]
        while unread:
            value = unread.pop()
            if isinstance(value, str):
                found.add(value)
            elif isinstance(value, dict | list):
                unread += value.values() if isinstance(value, dict) else value
    return found


def _write(folder: Path, name: str, content: bytes) -> FileRef:
    records.write_bytes(folder / name, content, ExportError)
    return FileRef.of(name, content)
