"""How long the batches of a request may take. Knows no clock: milliseconds in, milliseconds out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLimit:
    """What a request may take: `latency_ms` for each of its batches or, with `shares`, for all of them together.

    A share is what a batch may take of the time that is left when its turn comes. An infinite `latency_ms` is no limit.
    """

    latency_ms: float
    shares: tuple[float, ...] = ()

    @classmethod
    def for_call(cls, latency_ms: float, fastest_ms: Sequence[float]) -> "TimeLimit":
        """Return the limit of a whole call, from what each batch takes with its fastest network.

        The shares are in proportion to these times, so there is time for all, and what one batch saves goes to the
        others.
        """
        left_ms = sum(fastest_ms)
        shares = []
        for own_ms in fastest_ms:
            shares.append(own_ms / left_ms if left_ms > own_ms else 1.0)
            left_ms -= own_ms
        return cls(latency_ms, tuple(shares))

    def left_ms(self, number: int, request_ms: float, batch_ms: float) -> float:
        """Return what the batch of that number may still take.

        `request_ms` have gone by since the request began, `batch_ms` since the batch before was answered.
        """
        if self.shares:
            return (self.latency_ms - request_ms) * self.shares[number]
        return self.latency_ms - batch_ms

    def is_kept(self, request_ms: float, slowest_batch_ms: float) -> bool | None:
        """Return whether a request kept its limit; None if it has none."""
        if math.isinf(self.latency_ms):
            return None
        return (request_ms if self.shares else slowest_batch_ms) <= self.latency_ms
