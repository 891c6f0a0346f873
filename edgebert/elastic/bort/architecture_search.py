"""The search for an architecture: measure some and predict the rest, train some and estimate the rest, then choose.

How a latency is measured and a surrogate is trained is the caller's business: both are functions here. The paper's own
algorithm, an FPTAS, was never released. Needs no torch.
"""

import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgebert.elastic.bort.architecture import Architecture, SharedSizes, Space, by_pair
from edgebert.elastic.bort.estimates import PredictionError, cross_validated, estimate_errors, predict_ms
from edgebert.elastic.bort.extraction import Candidate, Goal, maximum_point, undominated, w_coefficient
from edgebert.elastic.events import Listener, TrialEvent, no_listener
from edgebert.errors import TrainingError
from edgebert.records import Record


class Approximation(Record, frozen=True):
    """How much of the space is looked at.

    `measured` architectures are measured to predict the others, and `held_out` more to find out how far that is off.
    Of all candidates, in the order of their latency, one in `interval` is trained for its error; that of the others is
    estimated. Then, the most promising first, each candidate is trained whose W (with a budget: 1 / e) would be more
    than 1 / (1 - `epsilon`) times the best found, if its error were as far below the estimate as estimates are off.
    This ends when there is none left, or when `most` are trained.
    """

    # The paper's FPTAS bounds the ratio to the best by |1 - epsilon| for any error function that fulfils its
    # assumptions; here the bound holds as far as the estimates do.

    # Of the paper's 300 architectures these took 156 s, and the 12 were off by 1.0 % in the median (docs/methods.md).
    measured: int = 48
    held_out: int = 12
    interval: int = 10
    epsilon: float = 0.05
    most: int = 60

    def __post_init__(self) -> None:
        if self.measured < 2 or self.held_out < 0 or self.interval < 1 or self.most < 1 or not 0 <= self.epsilon < 1:
            counts = "2 measured or more, an interval and trained candidates of 1 or more"
            raise TrainingError(f"expected {counts}, an epsilon from 0 to below 1, found {self}")


class SurrogateSettings(Record, frozen=True):
    """How a surrogate is trained: so many steps with batches of so many texts of at most so many tokens."""

    # After 48 steps errors still differ little (0.51 to 0.77) and favour shallow networks: deep ones learn later.
    steps: int = 48
    batch_size: int = 8
    length: int = 24
    dev_texts: int = 256
    learning_rate: float = 2e-4
    warmup: float = 0.1

    def __str__(self) -> str:
        texts = f"{self.batch_size} texts of up to {self.length} tokens"
        return f"distillation loss on {self.dev_texts} dev texts after {self.steps} steps of {texts}"


class SearchSettings(Record, frozen=True):
    """What is searched for, where, how thoroughly, and under which conditions latencies are measured, in words."""

    conditions: str
    space: Space = Space()
    goal: Goal = Goal()
    approximation: Approximation = Approximation()
    surrogate: SurrogateSettings = SurrogateSettings()


@dataclass(frozen=True)
class Measurements:
    """Median latencies in ms, and in words what they were measured on and how."""

    ms: Mapping[Architecture, float]
    where: str


class SearchRow(Record, frozen=True):
    """A candidate as the search leaves it: with its W, and whether it is on the Pareto front."""

    id: str
    candidate: Candidate
    w: float
    on_front: bool


class SearchResult(Record, frozen=True):
    """What a search found: the choice, all candidates with the fastest first, and how far to trust them.

    `cross_validated` and `held_out` say how far predicted latencies are off, `error_rms` how far the logarithms of
    estimated errors are. `settled`: no candidate was left that promised more. `seconds` are those of the last run.
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
    """A search as it goes on: `measure` returns latencies, and `find_error` trains a surrogate."""

    settings: SearchSettings
    sizes: SharedSizes
    measure: Callable[[Sequence[Architecture]], Measurements]
    find_error: Callable[[Architecture], float]
    seed: int = 1
    listener: Listener = no_listener

    def __post_init__(self) -> None:
        self.everyone = self.settings.space.architectures()
        self.maximum = maximum_point(self.everyone)
        # What was found out so far, and what is known or expected of all architectures.
        self.measured_on, self.training_since, self.error_rms = "", 0.0, 0.0
        self.measured_ms: dict[Architecture, float] = {}
        self.expected_ms: dict[Architecture, float] = {}
        self.errors: dict[Architecture, float] = {}
        self.expected_errors = dict.fromkeys(self.everyone, 1.0)

    def run(self) -> SearchResult:
        """Search, and return what was found.

        Raises:
            BudgetError: no architecture of the space is within the budget.
            TrainingError: nothing can be measured or trained.
        """
        settings, start = self.settings, time.monotonic()
        validated, held_out = self._measure_some()
        self.training_since = time.monotonic()
        self._train_some()
        chosen = self._train_promising()
        return SearchResult(
            schema_version=SearchResult.VERSION,
            space=settings.space,
            sizes=self.sizes,
            goal=settings.goal,
            approximation=settings.approximation,
            measured_on=self.measured_on,
            surrogate=str(settings.surrogate),
            chosen=str(chosen.architecture),
            maximum=str(self.maximum),
            cross_validated=validated,
            held_out=held_out,
            error_rms=round(self.error_rms, 4),
            settled=self._most_promising() is None,
            seconds={
                "measuring": round(self.training_since - start, 1),
                "training": round(time.monotonic() - self.training_since, 1),
            },
            rows=self._rows(),
        )

    def _measure_some(self) -> tuple[PredictionError, PredictionError | None]:
        """Measure architectures; return how far predictions are off, by cross-validation and for those held out."""
        # The largest is always measured: W compares all others with it.
        order = [self.maximum, *(one for one in _spread(self.everyone, self.seed) if one != self.maximum)]
        fitted = order[: self.settings.approximation.measured]
        held_out = order[len(fitted) :][: self.settings.approximation.held_out]
        self._measure([*fitted, *held_out])

        # What is held out is measured all the same, and counts when the others are predicted later.
        known = {one: self.measured_ms[one] for one in fitted}
        off = PredictionError.of(predict_ms(held_out, known), self.measured_ms) if held_out else None
        return cross_validated(known), off

    def _measure(self, architectures: Sequence[Architecture]) -> None:
        found = self.measure(architectures)
        self.measured_on, self.measured_ms = found.where, self.measured_ms | dict(found.ms)
        self.expected_ms = predict_ms(self.everyone, self.measured_ms) | self.measured_ms

    def _train_some(self) -> None:
        """Train one candidate in an interval, of those that can be chosen, in the order of latency."""
        candidates, approximation = self._candidates(), self.settings.approximation
        self.settings.goal.check(candidates)
        # What W or the budget rules out whatever its error is need not be trained.
        worth = [one for one in sorted(candidates, key=lambda one: one.ms) if self._value(one) > 0]
        interval = max(1, min(approximation.interval, len(worth)))
        # From the middle of the first interval on: its ends are the extremes of the space.
        for one in worth[(interval - 1) // 2 :: interval][: approximation.most]:
            self._train(one.architecture)

    def _train_promising(self) -> Candidate:
        """Train those that promise more than the best so far; return the best in the end."""
        while True:
            while len(self.errors) < self.settings.approximation.most and (one := self._most_promising()):
                self._train(one)
            chosen = self.settings.goal.choose(self._candidates(), self._candidate(self.maximum))
            # What is chosen costs what was measured, not what was predicted.
            if chosen.measured:
                return chosen
            self._measure([chosen.architecture])

    def _train(self, one: Architecture) -> None:
        self.errors[one] = self.find_error(one)
        # Anew each time: whatever is trained says more about the others.
        estimated, self.error_rms = estimate_errors(self.everyone, self.errors)
        self.expected_errors = estimated | self.errors
        seconds = round(time.monotonic() - self.training_since, 1)
        most = self.settings.approximation.most
        self.listener(TrialEvent("search", len(self.errors), most, seconds, str(one), self.errors[one]))

    def _most_promising(self) -> Architecture | None:
        """Return the untrained candidate that may be the farthest above the best by more than epsilon allows."""
        values = {one: self._value(self._candidate(one)) for one in self.everyone}
        best = max((values[one] for one in self.errors), default=0.0)
        first = max((one for one in self.everyone if one not in self.errors), key=values.__getitem__, default=None)
        # An error may be below its estimate by as much as estimates are off, and the value is one over the error.
        allowance = math.exp(self.error_rms) * (1 - self.settings.approximation.epsilon)
        return first if first and values[first] * allowance > best else None

    def _candidates(self) -> list[Candidate]:
        """Return all architectures with what is known or expected of each."""
        return [self._candidate(one) for one in self.everyone]

    def _candidate(self, one: Architecture) -> Candidate:
        return Candidate(
            architecture=one,
            parameters=one.parameters(self.sizes),
            ms=round(self.expected_ms[one], 4),
            error=round(self.expected_errors[one], 6),
            measured=one in self.measured_ms,
            trained=one in self.errors,
        )

    def _value(self, one: Candidate) -> float:
        return self.settings.goal.value(one, self._candidate(self.maximum))

    def _rows(self) -> tuple[SearchRow, ...]:
        """Return all candidates, the fastest first."""
        candidates, maximum = self._candidates(), self._candidate(self.maximum)
        front = undominated(candidates)
        return tuple(
            SearchRow(str(one.architecture), one, round(w_coefficient(one, maximum), 6), one in front)
            for one in sorted(candidates, key=lambda one: one.ms)
        )


def _spread(everyone: Sequence[Architecture], seed: int) -> list[Architecture]:
    """Return all in a random order in which each hidden size and number of heads has its turn, again and again."""
    groups = by_pair(random.Random(seed).sample(everyone, len(everyone)))
    return [one for turn in itertools.zip_longest(*groups) for one in turn if one]
