"""Measures the quality of sub-networks with their graphs, and what a precision costs: the same slice in float32.

On labelled data quality is the task's own metrics; on texts without labels it is fidelity, how often a sub-network
answers as the full network does in float32.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgebert.exporters.bundle_writer import BundleWriter
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.inputs.bundle import FIDELITY, Answers, Bundle, ExportedSubnet, Quality, SubnetAnswers
from edgebert.measuring.evaluation import scores_on
from edgebert.subnet import Subnet
from edgebert.tasks.task import Evidence, Scores, Task

_Slice = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Evaluator:
    """Measures quality on labelled `data`, whose labels ask for `targets`; without these on `texts`.

    `full_scores` are what the full network gives for the texts.
    """

    task: Task
    data: Path | None
    targets: Sequence[Any]
    texts: Path | None
    full_scores: Scores | None

    @property
    def file(self) -> Path | None:
        """The file that quality is measured on, None if there is none."""
        return self.data or self.texts

    def value(self, scores: Scores) -> float:
        """Return the quality that scores for the file amount to."""
        if self.data is None:
            return self._fidelity(scores)
        return self.task.metrics(scores, self.targets)[self.task.METRICS[0]]

    def quality(self, bundle: Bundle, subnet: ExportedSubnet, scores: Scores) -> Quality:
        """Return the quality of a sub-network from its scores for the file, and all other metrics that can be had."""
        assert self.file is not None
        if self.data is None:
            metrics = {FIDELITY: self._fidelity(scores)}
        else:
            metrics = dict(self.task.metrics(scores, self.targets))
            if self.texts is not None:
                metrics[FIDELITY] = self._fidelity(scores_on(self.texts, bundle, subnet))
        first = next(iter(metrics))
        value = metrics.pop(first)
        return Quality(metric=first, value=value, samples=len(scores), dataset=dataset_name(self.file), also=metrics)

    def evidence(self, scores: Scores) -> Evidence | None:
        """Return what answers to the labelled data are worth, None where there are none or the task has no cascade."""
        return None if self.data is None else self.task.evidence(scores, self.targets)

    def _fidelity(self, scores: Scores) -> float:
        assert self.full_scores is not None
        return self.task.fidelity(scores, self.full_scores)


def float_scores(writer: BundleWriter, source: Checkpoint, subnets: Sequence[Subnet], file: Path) -> dict[str, Scores]:
    """Return for the texts of a file the scores of each sub-network's slice in float32, by the sub-network's id.

    Sub-networks that differ in their precision alone share a slice, which is run once.
    """
    found: dict[_Slice, Scores] = {}
    with writer.in_float() as floats:
        graphs = floats.begin(source, subnets)
        for subnet in subnets:
            if _slice_of(subnet) not in found:
                exact = msgspec.structs.replace(subnet, id="float", precision="fp32")
                found[_slice_of(subnet)] = scores_on(file, graphs.bundle, graphs.add(exact, {}, ["fused"]))
    return {subnet.id: found[_slice_of(subnet)] for subnet in subnets}


def _slice_of(subnet: Subnet) -> _Slice:
    return subnet.layers, subnet.heads, subnet.ffn


def measured(
    evaluator: Evaluator, bundle: Bundle, subnet: ExportedSubnet, exact: Scores
) -> tuple[ExportedSubnet, SubnetAnswers | None]:
    """Return a sub-network with its quality and how it differs from `exact`, the scores of its slice in float32.

    Its answers come beside it, where they can be worth something to a cascade.
    """
    assert evaluator.file is not None
    scores = scores_on(evaluator.file, bundle, subnet)
    quality = evaluator.quality(bundle, subnet, scores)
    difference = msgspec.structs.replace(
        subnet.export_error,
        agreement=evaluator.task.fidelity(scores, exact),
        quality_drop=evaluator.value(exact) - quality.value,
    )
    evidence = evaluator.evidence(scores)
    answers = None if evidence is None else _answers(subnet.id, evidence)
    return msgspec.structs.replace(subnet, quality=quality, export_error=difference), answers


def answers_to(data: Path, subnetworks: Sequence[SubnetAnswers]) -> Answers:
    """Return the answers of all sub-networks to a data file."""
    return Answers(
        schema_version=Answers.VERSION,
        dataset=dataset_name(data),
        samples=len(subnetworks[0].confidences),
        subnetworks=tuple(subnetworks),
    )


def dataset_name(data: Path) -> str:
    """Return what a data file is called in a bundle: its name, after that of its folder."""
    return "/".join(data.absolute().parts[-2:])


def _answers(subnet_id: str, evidence: Evidence) -> SubnetAnswers:
    return SubnetAnswers(
        id=subnet_id,
        confidences=tuple(math.floor(confidence * 10_000) / 10_000 for confidence in evidence.confidences.tolist()),
        gained=tuple(evidence.gained.tolist()),
        possible=tuple(evidence.possible.tolist()),
    )
