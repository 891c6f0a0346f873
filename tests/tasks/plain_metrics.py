"""Metrics by their definitions, sample after sample in plain Python: what the tasks' own are compared with."""

import math
from collections.abc import Sequence


def accuracy(found: Sequence[object], wanted: Sequence[object]) -> float:
    return sum(one == right for one, right in zip(found, wanted, strict=True)) / len(wanted)


def micro_f1(found: Sequence[set[str]], wanted: Sequence[set[str]]) -> float:
    """Return F1 of all decisions together, of sets of labels for each sample."""
    true_positives = sum(len(one & right) for one, right in zip(found, wanted, strict=True))
    false_positives = sum(len(one - right) for one, right in zip(found, wanted, strict=True))
    false_negatives = sum(len(right - one) for one, right in zip(found, wanted, strict=True))
    total = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / total if total else 0.0


def average_precision(scores: Sequence[float], wanted: Sequence[bool]) -> float | None:
    """Return the sum over thresholds of the precision there times how much the recall grew, None if none is wanted."""
    if not any(wanted):
        return None
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [right for score, right in zip(scores, wanted, strict=True) if score >= threshold]
        recall = sum(taken) / sum(wanted)
        total += (recall - recall_before) * sum(taken) / len(taken)
        recall_before = recall
    return total


def pearson(first: Sequence[float], second: Sequence[float]) -> float:
    means = [sum(values) / len(values) for values in (first, second)]
    centred = [[value - mean for value in values] for values, mean in zip((first, second), means, strict=True)]
    products = sum(a * b for a, b in zip(*centred, strict=True))
    lengths = [math.sqrt(sum(value**2 for value in values)) for values in centred]
    return products / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    return pearson(ranks(first), ranks(second))


def ranks(values: Sequence[float]) -> list[float]:
    """Return how many values are smaller than each, and half of those that are equal to it."""
    return [sum(other < one for other in values) + sum(other == one for other in values) / 2 for one in values]
