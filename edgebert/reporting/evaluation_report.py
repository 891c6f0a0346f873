"""What is shown of an evaluation: which sub-networks are as good as the best."""

from edgebert.measuring.evaluation import Evaluation


def near_best(evaluation: Evaluation) -> set[str]:
    """Return the ids of the sub-networks whose 95 % interval reaches the best value of the first metric."""
    # By the intervals alone, each of its own network: a test of pairs of answers could tell more of them apart.
    best = max(next(iter(one.metrics.values())) for one in evaluation.subnetworks)
    return {one.id for one in evaluation.subnetworks if one.ci95[1] >= best}
