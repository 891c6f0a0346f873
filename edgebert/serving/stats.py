"""What a Predictor has done so far, in numbers."""

from collections.abc import Mapping, Sequence

from edgebert.records import Record


class AnsweredBy(Record, frozen=True):
    """How many texts a sub-network, or two of a cascade, has answered, and how long that took in all."""

    texts: int
    ms: float


class Stats(Record, frozen=True):
    """What a Predictor has done since it was loaded.

    `within_budget` is the share of requests with a budget that kept it, None if there were none. `switches` counts
    how often a request was answered by another sub-network than the one before it. `slow_down` is how many times the
    profiled latency the recent requests took, for each way to run networks. `loaded` are the networks in memory.
    """

    requests: int
    within_budget: float | None
    switches: int
    slow_down: dict[str, float]
    subnetworks: dict[str, AnsweredBy]
    loaded: tuple[str, ...]


class Tally:
    """Counts what is answered; one thread at a time."""

    def __init__(self) -> None:
        self._requests = self._budgeted = self._kept = self._switches = 0
        self._texts: dict[str, int] = {}
        self._ms: dict[str, float] = {}
        self._last: str | None = None

    def add_batch(self, subnet_id: str, texts: int, ms: float) -> None:
        """Count a batch that a sub-network has answered."""
        self._texts[subnet_id] = self._texts.get(subnet_id, 0) + texts
        self._ms[subnet_id] = self._ms.get(subnet_id, 0.0) + ms
        self._switches += self._last not in (None, subnet_id)
        self._last = subnet_id

    def add_request(self, kept: bool | None) -> None:
        """Count a request, and whether it kept its budget; None if it had none."""
        self._requests += 1
        self._budgeted += kept is not None
        self._kept += bool(kept)

    def stats(self, slow_down: Mapping[str, float], loaded: Sequence[str]) -> Stats:
        """Return what was counted."""
        return Stats(
            requests=self._requests,
            within_budget=self._kept / self._budgeted if self._budgeted else None,
            switches=self._switches,
            slow_down=dict(slow_down),
            subnetworks={
                name: AnsweredBy(texts=self._texts[name], ms=round(self._ms[name], 3)) for name in self._texts
            },
            loaded=tuple(loaded),
        )
