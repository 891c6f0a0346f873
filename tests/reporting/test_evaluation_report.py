from edgebert.inputs.bundle import Bundle
from edgebert.measuring.evaluation import Evaluation, SubnetEvaluation
from edgebert.reporting.evaluation_report import evaluation_report
from profiles import BEST, LEAST, MIDDLE, way


def evaluated(subnet_id: str, accuracy: float, half: float) -> SubnetEvaluation:
    return SubnetEvaluation(
        id=subnet_id,
        way=way(),
        metrics={"accuracy": accuracy, "other": 0.0},
        ci95=(accuracy - half, accuracy + half),
        samples=10,
        seconds=1.0,
    )


def test_what_may_be_as_good_as_the_best_is_told_apart(builtin: Bundle) -> None:
    ones = (evaluated(BEST, 0.9, 0.01), evaluated(MIDDLE, 0.85, 0.06), evaluated(LEAST, 0.8, 0.05))
    report = evaluation_report(Evaluation(dataset="d.tsv", samples=10, subnetworks=ones), builtin)
    assert [row.is_near_best for row in report.rows] == [True, True, False]
    assert (report.dataset, report.samples, report.metrics) == ("d.tsv", 10, ("accuracy", "other"))
    assert {row.method for row in report.rows} == {"dynabert"}
