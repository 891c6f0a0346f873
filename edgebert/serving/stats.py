"""What a Predictor has done so far, in numbers."""

import threading
from collections.abc import Iterable, Mapping, Sequence

from edgebert.records import Record


class AnsweredBy(Record, frozen=True):
    """How many texts a sub-network, or two of a cascade, has answered, and how long that took in all."""

    texts: int
    ms: float


class Stats(Record, frozen=True):
    """What a Predictor has done since it was loaded.

    `within_budget` is the share of requests with a latency budget that kept it, None if there were none. `switches`
    counts how often a batch was answered by another sub-network than the one before it. `slow_down` is how many times
    the profiled latency the recent requests took, for each way to run networks.
    """

    requests: int
    within_budget: float | None
    switches: int
    slow_down: dict[str, float]
    subnetworks: dict[str, AnsweredBy]
    loaded: tuple[str, ...]


class Tally:
    """Counts what is answered; may be called from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask while its thread counts
        self._requests = self._budgeted = self._kept = self._switches = 0
        self._answered: dict[str, AnsweredBy] = {}
        self._last: str | None = None

    def add(self, batches: Iterable[tuple[str, AnsweredBy]], is_kept: bool | None) -> None:
        """Count a request: its batches, each with the sub-network that answered it, and whether it kept its budget.

        `is_kept` is None for a request that had no budget.
        """
        with self._lock:
            for subnet_id, batch in batches:
                before = self._answered.get(subnet_id, AnsweredBy(0, 0.0))
                self._answered[subnet_id] = AnsweredBy(before.texts + batch.texts, before.ms + batch.ms)
                self._switches += self._last not in (None, subnet_id)
                self._last = subnet_id
            self._requests += 1
            self._budgeted += is_kept is not None
            self._kept += bool(is_kept)

    def stats(self, slow_down: Mapping[str, float], loaded: Sequence[str]) -> Stats:
        """Return what was counted, beside the state of the device and the networks that are loaded."""
        with self._lock:
            return Stats(
                requests=self._requests,
                within_budget=self._kept / self._budgeted if self._budgeted else None,
                switches=self._switches,
                slow_down=dict(slow_down),
                subnetworks={name: AnsweredBy(one.texts, round(one.ms, 3)) for name, one in self._answered.items()},
                loaded=tuple(loaded),
            )
