"""Reads what the checkpoints of one bundle are, without their tensors, and checks that they go together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.plan import full_subnet, plan
from edgebert.exporters.tokenizer import difference, read_tokenizer
from edgebert.inputs.bundle import GraphInput
from edgebert.subnet import Precision, Subnet


@dataclass(frozen=True)
class CheckpointSummary:
    """What one checkpoint brings into a bundle.

    The tensors of its `source` are left out, so that no two checkpoints' need to be in memory. `named_task` is the
    task's name where the user gave it; `parameters` are those of the whole network; `tokenizer` is the content of its
    tokenizer.json.
    """

    source: Checkpoint
    named_task: str | None
    parameters: int
    tokenizer: bytes
    subnets: tuple[Subnet, ...]

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint with its tensors."""
        return read_checkpoint(self.source.path, self.source.task.labels, self.named_task)


def read_summaries(
    checkpoints: Sequence[Path],
    labels: tuple[str, ...] | None,
    task: str | None,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
) -> list[CheckpointSummary]:
    """Return the summaries of checkpoints whose sub-networks can stand in one bundle.

    `labels` and the name of a `task` replace what the configs say. Widths and depths are for the checkpoints without
    slices of their own.

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

    def read_summary(path: Path) -> CheckpointSummary:
        source = read_checkpoint(path, labels, task)
        return CheckpointSummary(
            source=replace(source, tensors={}),
            named_task=task,
            parameters=parameters_of(full_subnet(source, "fp32"), source),
            tokenizer=read_tokenizer(path, source.sizes.vocabulary),
            subnets=tuple(plan(source, elastic[path], widths, depths, precisions)),
        )

    summaries = [read_summary(path) for path in checkpoints]
    for other in summaries[1:]:
        _check_alike(summaries[0], other)
    _check_names(summaries)
    return summaries


def graph_inputs(*, token_types: bool) -> tuple[GraphInput, ...]:
    """Return the inputs of graphs, with or without the one that tells the texts of a pair apart."""
    return ("input_ids", "attention_mask", *(("token_type_ids",) if token_types else ()))


def _check_alike(first: CheckpointSummary, other: CheckpointSummary) -> None:
    path, task, expected = other.source.path, other.source.task, first.source.task
    if task.NAME != expected.NAME:
        what = f"expected the task of {first.source.path}, {expected.NAME}, found {task.NAME}"
        raise ExportError(f"{path}: {what}; export it alone")
    if task.labels != expected.labels:
        what = f"expected the labels of {first.source.path} in their order, {', '.join(expected.labels)}"
        advice = "if only their names differ, name them for all with --labels"
        raise ExportError(f"{path}: {what}, found {', '.join(task.labels)}; {advice}")
    found = difference(first.tokenizer, other.tokenizer)
    if found:
        raise ExportError(f"{path}: expected the tokenizer of {first.source.path}, found {found}; export it alone")


def _check_names(summaries: Sequence[CheckpointSummary]) -> None:
    """Check that no two checkpoints have a sub-network of the same name, not even on a disk that ignores case."""
    owners: dict[str, CheckpointSummary] = {}
    for summary in summaries:
        for subnet in summary.subnets:
            owner = owners.setdefault(subnet.id.lower(), summary)
            if owner is not summary:
                both = f"{owner.source.path} and {summary.source.path} both have a sub-network {subnet.id}"
                advice = "export one of them alone, or give its sub-networks names of their own in its elastic.json"
                raise ExportError(f"{both}; {advice}")
