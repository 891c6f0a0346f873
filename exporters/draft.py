"""A bundle in the making: its weight files are written first, then graph by graph is added."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebert import records
from edgebert.bundle import MANIFEST, Answers, Bundle, ExportDifference, ExportedSubnet, FileRef, Golden, Manifest
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.graph import build_graph
from edgebert.exporters.quantize import Range
from edgebert.exporters.weights import Weights, prepared, write_weights
from edgebert.subnet import Flavor, Storage, Subnet, storage_of

FLAVORS: tuple[Flavor, ...] = ("fused", "portable")


@dataclass(frozen=True)
class Draft:
    """A folder, the manifest of what it will hold, sub-networks aside, and the weights that graphs refer into."""

    source: Checkpoint
    manifest: Manifest
    folder: Path
    weights: dict[Storage, Weights]

    @classmethod
    def begin(
        cls, source: Checkpoint, manifest: Manifest, tokenizer: bytes, folder: Path, storages: Sequence[Storage]
    ) -> "Draft":
        """Write the tokenizer and a weight file for each storage type into a folder.

        Raises:
            ExportError: they cannot be written.
        """
        types = "token_type_ids" in manifest.inputs
        tensors = prepared(source, manifest.max_length, token_types=types)
        weights = {storage: write_weights(tensors, storage, folder) for storage in storages}
        files = tuple(written.file for written in weights.values())
        written = _write(folder, "tokenizer.json", tokenizer)
        return cls(source, msgspec.structs.replace(manifest, tokenizer=written, weight_files=files), folder, weights)

    @property
    def bundle(self) -> Bundle:
        """What is there so far, to run sub-networks that were added."""
        return Bundle(self.folder, self.manifest, sha256="")

    def add(self, subnet: Subnet, ranges: Mapping[str, Range], flavors: Sequence[Flavor] = FLAVORS) -> ExportedSubnet:
        """Write the graphs of a sub-network; those that it had are replaced."""
        weights, inputs = self.weights[storage_of(subnet.precision)], self.manifest.inputs
        graphs = {flavor: build_graph(subnet, flavor, self.source, inputs, weights, ranges) for flavor in flavors}
        return ExportedSubnet(
            **msgspec.structs.asdict(subnet),
            hidden_size=self.source.sizes.hidden,
            parameters=parameters_of(subnet, self.source),
            graphs={
                flavor: _write(self.folder, f"{subnet.id}.{flavor}.onnx", graph) for flavor, graph in graphs.items()
            },
            accuracy=None,
            export_error=ExportDifference(max_abs_logit_difference=0.0, label_agreement=None, accuracy_drop=None),
        )

    def finish(self, subnets: Sequence[ExportedSubnet], golden: Golden, answers: Answers | None) -> None:
        """Write what is left, and check that the folder is a bundle now."""
        manifest = msgspec.structs.replace(
            self.manifest,
            golden=_write(self.folder, "golden.json", records.encode(golden, indent=0)),
            answers=_write(self.folder, "answers.json", records.encode(answers, indent=0)) if answers else None,
            subnetworks=tuple(subnets),
        )
        records.write_bytes(self.folder / MANIFEST, records.encode(manifest), ExportError)
        Bundle.load(self.folder)


def _write(folder: Path, name: str, content: bytes) -> FileRef:
    records.write_bytes(folder / name, content, ExportError)
    return FileRef(file=name, sha256=hashlib.sha256(content).hexdigest())
