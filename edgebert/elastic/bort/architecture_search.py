"""The search for an architecture: measure some and predict the rest, train some and estimate the rest, then choose.

How a latency is measured and a surrogate is trained is the caller's business: both are functions here. The paper's own
algorithm, an FPTAS, was never released. Needs no torch.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgebert.elastic.bort.architecture import Architecture, SharedSizes, Space
from edgebert.elastic.bort.error_model import ErrorModel
from edgebert.elastic.bort.extraction import Candidate, Goal, maximum_point, undominated, w_coefficient
from edgebert.elastic.bort.latency_model import LatencyModel, PredictionError, cross_validated
from edgebert.elastic.events import Listener, TrialEvent, no_listener
from edgebert.errors import TrainingError
from edgebert.records import Record


@dataclass(frozen=True)
class Measurements:
    """Median latencies in ms, and in words what they were measured on and how."""

    ms: Mapping[Architecture, float]
    where: str


class Approximation(Record, frozen=True):
    """How much of the space is looked at.

    `measured` architectures are measured to fit the latency model, and `held_out` more to find out how far it is off.
    Of all candidates, in the order of their latency, one in `interval` is trained for its error; that of the others is
    estimated from depth, hidden size and FFN neurons. Then, one by one and the most promising first, each candidate is
    trained whose W (with a budget: 1 / e) would be more than 1 / (1 - `epsilon`) times the best found, if its error
    were as far below the estimate as estimates are off (root mean square of the logarithms); the estimates are made
    anew each time. This ends when there is none left, or when `most` are trained.

    What then follows: no candidate beats the chosen one by more than a factor of 1 / (1 - epsilon), unless its error is
    better than its estimate by more than that allowance. The FPTAS of the paper bounds the ratio by |1 - epsilon| for
    any error function that fulfils its assumptions; here the bound holds only as far as the estimates do.
    """

    measured: int = 48
    held_out: int = 12
    interval: int = 10
    epsilon: float = 0.05
    most: int = 60

    def __post_init__(self) -> None:
        if self.measured < 2 or self.held_out < 0 or self.interval < 1 or self.most < 1 or not 0 <= self.epsilon < 1:
            expected = (
                "2 measured or more, an interval and trained candidates of 1 or more, an epsilon from 0 to below 1"
            )
            raise TrainingError(f"expected {expected}, found {self}")


class SearchRow(Record, frozen=True):
    """A candidate as the search leaves it: with its W, and whether it is on the Pareto front."""

    id: str
    candidate: Candidate
    w: float
    on_front: bool


class SearchResult(Record, frozen=True):
    """What a search found: the choice, all candidates with the fastest first, and how far to trust them.

    `cross_validated` and `held_out` say how far predicted latencies are off, `error_rms` by how much estimated errors
    are, as the root mean square of logarithms. `settled` is whether the search ended because no candidate was left
    that promised more. `seconds` are those of the last run of the command.
    """

    schema_version: int
    space: Space
    sizes: SharedSizes
    goal: Goal
    approximation: Approximation
    measured_on: str
    surrogate: str
    chosen: str
    maximum: str
    cross_validated: PredictionError
    held_out: PredictionError | None
    error_rms: float
    settled: bool
    seconds: dict[str, float]
    rows: tuple[SearchRow, ...]

    @property
    def architecture(self) -> Architecture:
        """The architecture that was chosen."""
        return Architecture.parse(self.chosen)


@dataclass
class ArchitectureSearch:
    """A search as it goes on.

    `measure` returns latencies and `find_error` trains a surrogate. `everyone` are the architectures of the space and
    `maximum` is the largest of them. `measured_ms` and `errors` hold what was found out so far, `expected_ms` the
    latency of every architecture, measured or predicted, and `measured_on` says in words on what.
    """

    space: Space
    sizes: SharedSizes
    goal: Goal
    approximation: Approximation
    measure: Callable[[Sequence[Architecture]], Measurements]
    find_error: Callable[[Architecture], float]
    seed: int = 1
    listener: Listener = no_listener
    everyone: Sequence[Architecture] = field(init=False)
    maximum: Architecture = field(init=False)
    measured_on: str = field(init=False, default="")
    measured_ms: dict[Architecture, float] = field(init=False, default_factory=dict)
    expected_ms: dict[Architecture, float] = field(init=False, default_factory=dict)
    errors: dict[Architecture, float] = field(init=False, default_factory=dict)
    settled: bool = field(init=False, default=False)
    training_since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.everyone = self.space.architectures()
        self.maximum = maximum_point(self.everyone)

    def run(self, surrogate: str) -> SearchResult:
        """Search, and return what was found; `surrogate` says in words what its errors are.

        Raises:
            BudgetError: no architecture of the space is within the budget.
            TrainingError: nothing can be measured or trained.
        """
        start = time.monotonic()
        validated, held_out = self._measure_some()
        self.training_since = time.monotonic()
        self._train_some()
        while True:
            self._train_promising()
            candidates = self.candidates()
            chosen = self.goal.choose(candidates, self._largest(candidates))
            if chosen.measured:  # what is chosen costs what was measured, not what a model says
                break
            self._measure([chosen.architecture])

        return SearchResult(
            schema_version=SearchResult.VERSION,
            space=self.space,
            sizes=self.sizes,
            goal=self.goal,
            approximation=self.approximation,
            measured_on=self.measured_on,
            surrogate=surrogate,
            chosen=str(chosen.architecture),
            maximum=str(self.maximum),
            cross_validated=validated,
            held_out=held_out,
            error_rms=round(ErrorModel(self.errors).rms, 4),
            settled=self.settled,
            seconds={
                "measuring": round(self.training_since - start, 1),
                "training": round(time.monotonic() - self.training_since, 1),
            },
            rows=self._rows(candidates),
        )

    def _rows(self, candidates: Sequence[Candidate]) -> tuple[SearchRow, ...]:
        """Return all candidates, the fastest first."""
        front, maximum = undominated(candidates), self._largest(candidates)
        return tuple(
            SearchRow(str(one.architecture), one, round(w_coefficient(one, maximum), 6), one in front)
            for one in sorted(candidates, key=lambda one: one.ms)
        )

    def _largest(self, candidates: Sequence[Candidate]) -> Candidate:
        return next(one for one in candidates if one.architecture == self.maximum)

    def _measure_some(self) -> tuple[PredictionError, PredictionError | None]:
        """Measure architectures; return how far the latency model is off, by cross-validation and for the held out."""
        # The largest is always measured: W compares all others with it.
        order = [self.maximum, *(one for one in _spread(self.everyone, self.seed) if one != self.maximum)]
        fitted = order[: self.approximation.measured]
        held_out = order[len(fitted) :][: self.approximation.held_out]
        self._measure([*fitted, *held_out])

        known = {one: self.measured_ms[one] for one in fitted}
        model, validated = LatencyModel(known), cross_validated(known)
        if not held_out:
            return validated, None
        predicted_ms, measured_ms = map(model.predict_ms, held_out), map(self.measured_ms.__getitem__, held_out)
        return validated, PredictionError.of(list(predicted_ms), list(measured_ms))

    def _measure(self, architectures: Sequence[Architecture]) -> None:
        found = self.measure(architectures)
        self.measured_on, self.measured_ms = found.where, self.measured_ms | dict(found.ms)
        model = LatencyModel(self.measured_ms)
        self.expected_ms = {one: model.predict_ms(one) for one in self.everyone} | self.measured_ms

    def _train_some(self) -> None:
        """Train one candidate in an interval, of those that can be chosen, in the order of latency."""
        candidates = self.candidates()
        self.goal.check(candidates)
        maximum = self._largest(candidates)
        # What W or the budget rules out whatever its error is need not be trained.
        worth = [one for one in sorted(candidates, key=lambda one: one.ms) if self.goal.value(one, maximum) > 0]
        interval = min(self.approximation.interval, len(worth))
        for one in worth[(interval - 1) // 2 :: max(1, interval)][: self.approximation.most]:
            self._train(one.architecture)

    def _train_promising(self) -> None:
        """Train those that promise more than the best so far."""
        while True:
            promising = self._most_promising()
            self.settled = promising is None
            if promising is None or len(self.errors) >= self.approximation.most:
                break
            self._train(promising)

    def _train(self, one: Architecture) -> None:
        if one not in self.errors:
            self.errors[one] = self.find_error(one)
            seconds = time.monotonic() - self.training_since
            count, most = len(self.errors), self.approximation.most
            self.listener(TrialEvent("search", count, most, round(seconds, 1), str(one), self.errors[one]))

    def _most_promising(self) -> Architecture | None:
        """Return the untrained candidate that may be the farthest above the best by more than epsilon allows."""
        candidates, allowance = self.candidates(), math.exp(ErrorModel(self.errors).rms)
        maximum = self._largest(candidates)
        # An error may be below its estimate by the allowance, and the value is one over the error.
        best = max((self.goal.value(one, maximum) for one in candidates if one.trained), default=0.0)
        may_be = {one.architecture: self.goal.value(one, maximum) * allowance for one in candidates if not one.trained}
        first = max(may_be, key=lambda one: may_be[one], default=None)
        if first is None or may_be[first] * (1 - self.approximation.epsilon) <= best:
            return None
        return first

    def candidates(self) -> list[Candidate]:
        """Return all architectures with what is known or expected of each."""
        model = ErrorModel(self.errors)
        return [
            Candidate(
                architecture=one,
                parameters=one.parameters(self.sizes),
                ms=round(self.expected_ms[one], 4),
                error=round(self.errors.get(one) or model.predict(one), 6),
                measured=one in self.measured_ms,
                trained=one in self.errors,
            )
            for one in self.everyone
        ]


def _spread(everyone: Sequence[Architecture], seed: int) -> list[Architecture]:
    """Return all in a random order in which each hidden size and number of heads has its turn, again and again."""
    generator = random.Random(seed)
    groups: dict[tuple[int, int], list[Architecture]] = {}
    for one in generator.sample(list(everyone), len(everyone)):
        groups.setdefault((one.hidden, one.heads), []).append(one)
    rounds = range(max(map(len, groups.values())))
    return [group[turn] for turn in rounds for group in groups.values() if turn < len(group)]
