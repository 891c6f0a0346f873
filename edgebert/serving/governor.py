"""How much slower than profiled the device is at the moment, by what was observed of each way to run networks.

Knows neither networks nor budgets: expected and observed milliseconds in, the share of requests that would be late out.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgebert.subnet import Way

_MEMORY_S = 1.0  # an observation counts for 37 % after this time
_DOUBT = 2.0  # observations on time that are assumed before any: one late request alone is not forgotten at once
_KEPT = 32
_CALM = 1.1  # times the expected latency: below this an observation is on time for every budget that a profile admits
_THROTTLED = 2.0  # a clock that goes down slows all networks alike, and hardly by more than this


@dataclass(frozen=True)
class _Late:
    """An observation that took longer than expected."""

    time_s: float
    expected_ms: float
    observed_ms: float

    def projected_ms(self, expected_ms: float) -> float:
        """Return what a network that is expected to take so long would have taken in its place.

        A slower clock slows all in proportion. A wait for a core adds the same to all, and a shorter request is less
        likely to meet one.
        """
        times = self.observed_ms / self.expected_ms
        if expected_ms <= self.expected_ms or times <= _THROTTLED:
            return expected_ms * times
        return max(expected_ms * _THROTTLED, expected_ms + self.observed_ms - self.expected_ms)


class _Observed:
    """What was observed of one way, the recent counting most."""

    def __init__(self) -> None:
        self.late: deque[_Late] = deque(maxlen=_KEPT)
        self.most_times = 1.0  # the expected latency, of those that are late
        self._weight, self._weighed_s = 0.0, 0.0

    def add(self, time_s: float) -> None:
        self._weight, self._weighed_s = self.weight(time_s) + 1, time_s

    def add_late(self, one: _Late) -> None:
        self.late.append(one)
        self.most_times = max(late.observed_ms / late.expected_ms for late in self.late)

    def weight(self, time_s: float) -> float:
        return self._weight * math.exp((self._weighed_s - time_s) / _MEMORY_S)


class Governor:
    """Learns how late requests are and tells which networks would be on time now; one thread at a time may ask.

    Each way is watched by itself: where another program takes a core, networks on two threads wait for each other
    while those on one thread go on as before.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.clock = clock
        self._observed: dict[Way, _Observed] = {}
        self._overheads_ms: deque[float] = deque([0.0], maxlen=_KEPT)

    @property
    def overhead_ms(self) -> float:
        """The median time that recent batches spent outside tokenizer and network: budgets must leave room for it."""
        return sorted(self._overheads_ms)[(len(self._overheads_ms) - 1) // 2]

    def observe_overhead(self, ms: float) -> None:
        """Record the time that a batch spent outside the network, from the choice of the network to the answers."""
        self._overheads_ms.append(ms)

    def observe(self, way: Way, expected_ms: float, observed_ms: float) -> None:
        """Record how long a network ran, and how long it was expected to run in the median."""
        observed, now_s = self._observed.setdefault(way, _Observed()), self.clock()
        observed.add(now_s)
        # Those on time are only counted: the sums below run over late ones alone, so a quiet device costs nothing.
        if observed_ms > _CALM * expected_ms:
            observed.add_late(_Late(now_s, expected_ms, observed_ms))

    def share_late(self, way: Way, expected_ms: float, allowed_ms: float) -> float:
        """Return the share of recent requests that would have taken longer than allowed with such a network."""
        observed = self._observed.get(way)
        # No projection is above that: most requests are told by it alone.
        if observed is None or expected_ms * observed.most_times <= allowed_ms:
            return 0.0
        return self._mean(way, lambda one: one.projected_ms(expected_ms) > allowed_ms)

    def slow_down(self, way: Way) -> float:
        """Return how many times the expected latency the recent requests took: 1 as long as they are on time."""
        return 1 + self._mean(way, lambda one: one.observed_ms / one.expected_ms - 1)

    def _mean(self, way: Way, value_of: Callable[[_Late], float]) -> float:
        """Return the mean of a value over the recent requests; that of a request on time is 0."""
        observed = self._observed.get(way)
        if observed is None or not observed.late:
            return 0.0
        now_s, total = self.clock(), 0.0
        for one in observed.late:
            value = value_of(one)
            if value:
                total += value * math.exp((one.time_s - now_s) / _MEMORY_S)
        return total / (observed.weight(now_s) + _DOUBT)
