"""Reads what the checkpoints of one bundle are, tensors aside, and checks that they go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Checkpoint, read_checkpoint
from edgebert.exporters.plan import plan
from edgebert.exporters.tokenizer import difference, read_tokenizer
from edgebert.inputs.bundle import GraphInput, Task
from edgebert.subnet import Precision, Subnet


@dataclass(frozen=True)
class Outline:
    """What one checkpoint brings into a bundle; its tensors are left out, so that no two need to be in memory.

    `tokenizer` is the content of its tokenizer.json.
    """

    path: Path
    task: Task
    labels: tuple[str, ...]
    max_length: int
    token_types: bool
    tokenizer: bytes
    subnets: tuple[Subnet, ...]


def read_outlines(
    checkpoints: Sequence[Path],
    labels: tuple[str, ...] | None,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
) -> list[Outline]:
    """Return the outlines of checkpoints whose sub-networks can stand in one bundle.

    Widths and depths are for the checkpoints without slices of their own.

    Raises:
        ExportError: a checkpoint cannot be exported, or differs from the first one in its task, labels or tokenizer;
            two have a sub-network of the same name; widths or depths are given and no checkpoint takes them.
    """
    if not checkpoints:
        raise ExportError("expected at least one checkpoint, found none; give the folder of a Hugging Face model")
    elastic = {path: ElasticManifest.load(path) for path in checkpoints}
    if (widths or depths) and all(manifest and manifest.subnetworks for manifest in elastic.values()):
        whose = f"{checkpoints[0]} has" if len(checkpoints) == 1 else "all of these checkpoints have"
        raise ExportError(f"widths and depths cut a grid, but {whose} slices in elastic.json; leave them out")
    outlines = [
        _outline(read_checkpoint(path, labels), elastic[path], widths, depths, precisions) for path in checkpoints
    ]
    for other in outlines[1:]:
        _check_alike(outlines[0], other)
    _check_names(outlines)
    return outlines


def graph_inputs(*, token_types: bool) -> tuple[GraphInput, ...]:
    """Return the inputs of graphs, with or without the one that tells the texts of a pair apart."""
    return ("input_ids", "attention_mask", *(("token_type_ids",) if token_types else ()))


def _outline(
    source: Checkpoint,
    elastic: ElasticManifest | None,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
) -> Outline:
    return Outline(
        path=source.path,
        task=source.task,
        labels=source.labels,
        max_length=source.max_length,
        token_types=source.token_types,
        tokenizer=read_tokenizer(source.path, source.sizes.vocabulary),
        subnets=tuple(plan(source, elastic, widths, depths, precisions)),
    )


def _check_alike(first: Outline, other: Outline) -> None:
    if other.task != first.task:
        expected = f"expected the task of {first.path}, {first.task}, found {other.task}"
        raise ExportError(f"{other.path}: {expected}; export it alone")
    if other.labels != first.labels:
        expected = f"expected the labels of {first.path} in their order, {', '.join(first.labels)}"
        advice = "if only their names differ, name them for all with --labels"
        raise ExportError(f"{other.path}: {expected}, found {', '.join(other.labels)}; {advice}")
    found = difference(first.tokenizer, other.tokenizer)
    if found:
        raise ExportError(f"{other.path}: expected the tokenizer of {first.path}, found {found}; export it alone")


def _check_names(outlines: Sequence[Outline]) -> None:
    """Check that no two checkpoints have a sub-network of the same name, not even on a disk that ignores case."""
    owners: dict[str, Path] = {}
    for outline in outlines:
        for subnet in outline.subnets:
            if subnet.id.lower() in owners:
                both = f"{owners[subnet.id.lower()]} and {outline.path} both have a sub-network {subnet.id}"
                advice = "export one of them alone, or give its sub-networks names of their own in its elastic.json"
                raise ExportError(f"{both}; {advice}")
        owners |= {subnet.id.lower(): outline.path for subnet in outline.subnets}
