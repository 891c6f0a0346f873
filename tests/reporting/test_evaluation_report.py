from edgebert.measuring.evaluation import Evaluation, SubnetEvaluation
from edgebert.reporting.evaluation_report import near_best
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


def test_what_may_be_as_good_as_the_best_is_told_apart() -> None:
    ones = (evaluated(BEST, 0.9, 0.01), evaluated(MIDDLE, 0.85, 0.06), evaluated(LEAST, 0.8, 0.05))
    assert near_best(Evaluation(dataset="d.tsv", samples=10, subnetworks=ones)) == {BEST, MIDDLE}
