"""Reads what checkpoints are, without keeping their tensors: one for `inspect`, those of a bundle to go together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError, listed
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint, read_tensors, weight_file, weight_files
from edgebert.exporters.config_file import read_config
from edgebert.exporters.embedding_space import settled
from edgebert.exporters.plan import full_subnet, plan
from edgebert.exporters.tokenizer import CheckpointTokenizer, difference, read_tokenizer
from edgebert.subnet import Precision, Subnet


@dataclass(frozen=True)
class CheckpointSummary:
    """What one checkpoint brings into a bundle.

    The tensors of its `source` are left out, so that no two checkpoints' need to be in memory. `parameters` are those
    of the whole network.
    """

    source: Checkpoint
    parameters: int
    tokenizer: CheckpointTokenizer
    subnets: tuple[Subnet, ...]

    @property
    def token_types(self) -> bool:
        """Whether the model is told the types of tokens, and tells them apart."""
        decided = self.source.family.gives_types is not None
        return self.source.token_types and (decided or self.tokenizer.gives_types)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint with its tensors."""
        task = self.source.task
        return replace(read_checkpoint(self.source.path, task.labels, task.NAME), task=task)


def read_summaries(
    checkpoints: Sequence[Path],
    labels: tuple[str, ...] | None,
    task: str | None,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
    dims: Sequence[int] = (),
) -> list[CheckpointSummary]:
    """Return the summaries of checkpoints whose sub-networks can stand in one bundle.

    `labels` and the name of a `task` replace what the configs say. Widths and depths are for the checkpoints without
    slices of their own. Embeddings may be cut to `dims`, beside those that their elastic.json says.

    Raises:
        ExportError: a checkpoint cannot be exported, or differs from the first one in its task, labels or tokenizer;
            two have a sub-network of the same name; widths or depths are given and no checkpoint takes them.
    """
    if not checkpoints:
        raise ExportError("expected at least one checkpoint, found none; give the folder of a Hugging Face model")

    # Asked first: this needs no tensors.
    elastic = [ElasticManifest.load(path) for path in checkpoints]
    if (widths or depths) and all(manifest and manifest.subnetworks for manifest in elastic):
        whose = f"{checkpoints[0]} has" if len(checkpoints) == 1 else "all of these checkpoints have"
        raise ExportError(f"widths and depths cut a grid, but {whose} slices in elastic.json; leave them out")

    def read_summary(path: Path) -> CheckpointSummary:
        source = read_checkpoint(path, labels, task)
        tokenizer = read_tokenizer(source)
        known = settled(path, source.task, tokenizer.content, source.elastic, dims)
        return CheckpointSummary(
            source=replace(source, tensors={}, task=known),
            parameters=parameters_of(full_subnet(source, "fp32"), source),
            tokenizer=tokenizer,
            subnets=tuple(plan(source, widths, depths, precisions)),
        )

    summaries = [read_summary(path) for path in checkpoints]
    for other in summaries[1:]:
        _check_alike(summaries[0], other)
    _check_names(summaries)
    return summaries


def describe(path: Path) -> dict[str, Any]:
    """Return what is known of a checkpoint, and why it cannot be exported if so; sub-networks only if it is elastic.

    Raises:
        ExportError: its config.json or its weights cannot be read.
    """
    config, elastic, tensors = read_config(path), ElasticManifest.load(path), read_tensors(path)
    names, subnetworks = config.get("id2label"), []
    # Checkpoints may be of any architecture: all else that is told of them needs no knowledge of it.
    source, problem = _exportable(path)
    if elastic is not None and source is not None:
        for subnet in plan(source, None, None, ("fp32",)):
            facts = {"id": subnet.id.removesuffix("-fp32"), "parameters": parameters_of(subnet, source)}
            subnetworks.append({**facts, "layers": subnet.layers, "heads": subnet.heads, "ffn": subnet.ffn})

    return {
        "model_type": config.get("model_type", "unknown"),
        "architectures": config.get("architectures", []),
        "parameters": sum(tensor.size for tensor in tensors.values()),
        "weight_file": weight_file(path).name,
        "size_bytes": sum(file.stat().st_size for file in weight_files(path)),
        "labels": list(source.task.labels if source else map(str, names.values()) if isinstance(names, dict) else ()),
        "elastic": None if elastic is None else msgspec.to_builtins(elastic),
        "subnetworks": subnetworks,
        "export_problem": problem,
    }


def _exportable(path: Path) -> tuple[Checkpoint | None, str | None]:
    """Return a checkpoint and nothing, or nothing and why it cannot be exported as it is."""
    try:
        source = read_checkpoint(path)
        read_tokenizer(source)
    except ExportError as problem:
        return None, str(problem)
    return source, None


def _check_alike(first: CheckpointSummary, other: CheckpointSummary) -> None:
    path, task, expected = other.source.path, other.source.task, first.source.task
    if task.NAME != expected.NAME:
        what = f"expected the task of {first.source.path}, {expected.NAME}, found {task.NAME}"
        raise ExportError(f"{path}: {what}; export it alone")
    if task.labels != expected.labels:
        what = f"expected the labels of {first.source.path} in their order, {listed(expected.labels)}"
        advice = "if only their names differ, name them for all with --labels"
        raise ExportError(f"{path}: {what}, found {listed(task.labels)}; {advice}")
    if task.facts() != expected.facts():
        what = f"expected embeddings of the space, the dims and the prompts of {first.source.path}, found others"
        raise ExportError(f"{path}: {what}; export it alone, its index is its own")
    found = difference(first.tokenizer.content, other.tokenizer.content)
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
