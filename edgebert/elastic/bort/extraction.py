"""Which architecture to take: Bort's W coefficient (arXiv 2010.10499), the Pareto front, or a latency budget.

Numbers in, one choice out; knows neither how they were measured nor how they were estimated. Needs no torch.
"""

import operator
from collections.abc import Iterable, Sequence

from edgebert.elastic.bort.architecture import Architecture
from edgebert.errors import BudgetError, TrainingError
from edgebert.records import Record


class Candidate(Record, frozen=True):
    """An architecture with its parameters p, its latency i in ms and its error e, which is above 0.

    Without `measured` the latency is predicted, without `trained` the error is estimated.
    """

    architecture: Architecture
    parameters: int
    ms: float
    error: float
    measured: bool
    trained: bool


def w_coefficient(one: Candidate, maximum: Candidate) -> float:
    """Return W = |p(T) - p(f)| / p(T) * |i(T) - i(f)| / i(T) * 1 / e(f) against the maximum point T; W(T) is 0."""
    # For anything small the first two factors are nearly 1, so W prefers the small: see docs/methods.md.
    smaller = abs(maximum.parameters - one.parameters) / maximum.parameters
    faster = abs(maximum.ms - one.ms) / maximum.ms
    return smaller * faster / one.error


def maximum_point(architectures: Iterable[Architecture]) -> Architecture:
    """Return the maximum point T: the most layers, hidden size, FFN neurons and heads, in this order."""
    return max(architectures, key=lambda one: (one.depth, one.hidden, one.ffn, one.heads))


def undominated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return those that no other beats, the fastest first.

    A candidate beats another that is no better in latency, parameters and error, and worse in one of them.
    """
    numbers = {one: (one.ms, one.parameters, one.error) for one in candidates}

    def beats(one: Candidate, other: Candidate) -> bool:
        mine, theirs = numbers[one], numbers[other]
        return mine != theirs and all(map(operator.le, mine, theirs))

    front = [one for one in candidates if not any(beats(other, one) for other in candidates)]
    return sorted(front, key=lambda one: numbers[one])


class Goal(Record, frozen=True):
    """What is wanted: the highest W, or with a budget in ms the lowest error within it."""

    # Of a median, where a budget at run time is of a 95th percentile.
    latency_ms: float | None = None

    def value(self, one: Candidate, maximum: Candidate) -> float:
        """Return how good a candidate is: W, or 1 / e within the budget and 0 beyond it."""
        if self.latency_ms is None:
            return w_coefficient(one, maximum)
        return 1 / one.error if one.ms <= self.latency_ms else 0.0

    def choose(self, candidates: Sequence[Candidate], maximum: Candidate) -> Candidate:
        """Return the best of the candidates whose error was found out; of equals the faster, then the smaller.

        Raises:
            TrainingError: there is none.
            BudgetError: none is within the budget; `nearest` is the fastest of all.
        """
        # What was expected within the budget may have been measured beyond it.
        self.check(candidates)
        # An estimated error is no ground for a choice.
        trained = [one for one in candidates if one.trained and self.value(one, maximum) > 0]
        if not trained:
            expected = "a candidate that was trained and is better than the maximum point"
            raise TrainingError(f"expected {expected}, found none; raise --most-surrogates or --surrogate-steps")
        return min(trained, key=lambda one: (-self.value(one, maximum), one.ms, one.parameters))

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise a BudgetError with the nearest miss if the budget is less than any candidate takes."""
        nearest = min(candidates, key=lambda one: one.ms)
        if self.latency_ms is not None and nearest.ms > self.latency_ms:
            asked = f"no architecture of the space meets {self.latency_ms:g} ms"
            advice = "Raise the budget, shorten --length or give a space of smaller ones."
            message = f"{asked}; the nearest is {nearest.architecture} with {nearest.ms:.2f} ms. {advice}"
            raise BudgetError(message, nearest)
