"""Measures the quality of sub-networks with their graphs, and what a precision costs: the same slice in float32.

On labelled data quality is the task's own metrics; on texts without labels it is fidelity, how often a sub-network
answers as the full network does in float32.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from edgebert.errors import one_line
from edgebert.exporters.bundle_writer import BundleWriter
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.plan import full_subnet
from edgebert.inputs.bundle import Answers, Bundle, SubnetAnswers
from edgebert.inputs.manifest import FIDELITY, ExportedSubnet, Quality
from edgebert.measuring.evaluation import results_on, targets_in
from edgebert.subnet import Subnet
from edgebert.tasks.task import Results, Task


@dataclass(frozen=True)
class Evaluator:
    """Measures quality on the texts of a `file`: by the task's metrics where its labels ask for `targets`.

    Without targets by fidelity on `texts`, which is that file; beside labelled data they may be another one.
    `full_results` are what the full network gives for the files that it is compared on, none before `compared_with`.
    """

    task: Task
    file: Path
    targets: Sequence[Any] | None
    texts: Path | None
    full_results: Mapping[Path, Results] = field(default_factory=dict)

    @property
    def compared_files(self) -> list[Path]:
        """The files for whose texts the results of the full network are needed."""
        found = [] if self.texts is None else [self.texts]
        return [*found, self.file] if self.targets is not None and self.task.BESIDE_FULL else found

    def compared_with(self, source: Checkpoint, writer: BundleWriter) -> "Evaluator":
        """Return what compares with a whole checkpoint in float32."""
        full = full_subnet(source, "fp32")
        found = {file: float_results(writer, source, [full], file)[full.id] for file in self.compared_files}
        return replace(self, full_results=found)

    def metrics(self, results: Results) -> dict[str, float]:
        """Return the metrics that results for the file amount to, the one that quality is counted in first."""
        if self.targets is None:
            return self._fidelity(self.file, results)
        if self.task.BESIDE_FULL:
            results = self.task.beside(results, self.full_results[self.file])
        return self.task.metrics(results, self.targets)

    def measured(
        self, bundle: Bundle, subnet: ExportedSubnet, exact: Results
    ) -> tuple[ExportedSubnet, SubnetAnswers | None]:
        """Return a sub-network with its quality and how it differs from `exact`, the results of its slice in float32.

        Its answers come beside it, where they are worth something to a cascade.
        """
        results: Results = results_on(self.file, bundle, subnet)
        if self.targets is not None:
            task, results = self.task.tuned(results, self.targets)
            subnet = msgspec.structs.replace(subnet, **task.subnet_facts())
            _, exact = self.task.tuned(exact, self.targets)
        also = self.metrics(results)
        # Where there are no targets, the metric is the fidelity on these texts already.
        if self.texts is not None and self.targets is not None:
            also |= self._fidelity(self.texts, results_on(self.texts, bundle, subnet))
        metric = next(iter(also))
        value, exact_value = also.pop(metric), self.metrics(exact)[metric]

        difference = msgspec.structs.replace(
            subnet.export_error, agreement=self.task.fidelity(results, exact), quality_drop=exact_value - value
        )
        quality = Quality(metric=metric, value=value, samples=len(results), dataset=dataset_name(self.file), also=also)
        return msgspec.structs.replace(subnet, quality=quality, export_error=difference), self._answers(subnet, results)

    def _fidelity(self, file: Path, results: Results) -> dict[str, float]:
        full = self.full_results[file]
        return {FIDELITY: self.task.fidelity(results, full), **self.task.more_fidelity(results, full)}

    def _answers(self, subnet: Subnet, results: Results) -> SubnetAnswers | None:
        counts = None if self.targets is None else self.task.counts(results, self.targets)
        confidences = self.task.confidences(results)
        if counts is None or confidences is None:
            return None
        gained, possible = counts
        return SubnetAnswers(
            id=subnet.id,
            # Rounded down, so that none gets above a threshold of two digits that it is below.
            confidences=tuple(math.floor(one * 10_000) / 10_000 for one in confidences.tolist()),
            gained=tuple(gained.tolist()),
            possible=tuple(possible.tolist()),
        )


def evaluator_of(task: Task, data: str | Path | None, texts: str | Path | None) -> Evaluator | None:
    """Return what measures quality on labelled data, on texts or on both, None where there are neither.

    Raises:
        EdgeBertError: the data cannot be read, or a label is not of the task.
    """
    file = texts if data is None else data
    if file is None:
        return None
    targets = None if data is None else targets_in(task, data)
    return Evaluator(task, Path(file), targets, None if texts is None else Path(texts))


def float_results(
    writer: BundleWriter, source: Checkpoint, subnets: Sequence[Subnet], file: Path
) -> dict[str, Results]:
    """Return for the texts of a file the results of each sub-network's slice in float32, by the sub-network's id.

    Sub-networks that differ in their precision alone share a slice, which is run once.
    """
    # The same id for all, so that slices which differ in nothing else are equal.
    exact = {subnet.id: msgspec.structs.replace(subnet, id="float", precision="fp32") for subnet in subnets}
    found: dict[Subnet, Results] = {}
    with writer.in_float() as floats:
        graphs = floats.begin(source, subnets)
        for one in exact.values():
            if one not in found:
                found[one] = results_on(file, graphs.bundle, graphs.add(one, {}, ["fused"]))
    return {subnet_id: found[one] for subnet_id, one in exact.items()}


def answers_to(data: Path, subnetworks: Sequence[SubnetAnswers]) -> Answers:
    """Return the answers of all sub-networks to a data file."""
    return Answers(Answers.VERSION, dataset_name(data), len(subnetworks[0].confidences), tuple(subnetworks))


def dataset_name(data: Path) -> str:
    """Return what a data file is called in a bundle: its name, after that of its folder."""
    return one_line("/".join(data.absolute().parts[-2:]))
