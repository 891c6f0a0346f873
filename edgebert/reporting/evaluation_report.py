"""What is shown of an evaluation: a row for each sub-network, and which of them are as good as the best."""

from dataclasses import dataclass

from edgebert.inputs.bundle import Bundle
from edgebert.measuring.evaluation import Evaluation, SubnetEvaluation


@dataclass(frozen=True)
class EvaluationRow:
    """How good one sub-network is; `is_near_best` where its 95 % interval reaches the best value."""

    evaluated: SubnetEvaluation
    method: str
    is_near_best: bool


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation's table holds: the values of `metrics`, of which the first is what a selection goes by."""

    dataset: str
    samples: int
    metrics: tuple[str, ...]
    rows: tuple[EvaluationRow, ...]


def evaluation_report(evaluation: Evaluation, bundle: Bundle) -> EvaluationReport:
    """Return what is shown of an evaluation of a bundle's sub-networks."""
    metrics = tuple(evaluation.subnetworks[0].metrics)
    best = max(one.metrics[metrics[0]] for one in evaluation.subnetworks)
    methods = bundle.manifest.methods

    rows = tuple(
        EvaluationRow(evaluated=one, method=methods[one.id], is_near_best=one.ci95[1] >= best)
        for one in evaluation.subnetworks
    )
    return EvaluationReport(evaluation.dataset, evaluation.samples, metrics, rows)
