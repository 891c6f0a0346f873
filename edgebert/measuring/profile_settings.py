"""How a profile is measured: the shapes of the requests, how often, and how exactly."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import MAX_LENGTH
from edgebert.machine.device import default_threads, thread_counts
from edgebert.machine.limits import Limits
from edgebert.records import Count, NotNegative, Positive, Record

_DEFAULT_LENGTHS = (16, 64, 128)
# The special tokens around an empty text.
_MIN_LENGTH = 2
_MAX_BATCH_SIZE = 1024

Length = Annotated[int, Meta(ge=_MIN_LENGTH, le=MAX_LENGTH)]
BatchSize = Annotated[int, Meta(ge=1, le=_MAX_BATCH_SIZE)]


class Shape(Record, frozen=True):
    """The shape (batch_size, length) of a request."""

    batch_size: BatchSize
    length: Length

    def __str__(self) -> str:
        return f"{self.batch_size} x {self.length}"


class ProfileSettings(Record, frozen=True):
    """How a profile was measured: in each round every sub-network runs in a fresh process of its own.

    There it answers each shape at least `min_runs` times, and all of them for at least `min_seconds`. At least
    `min_rounds` rounds, then as many as it takes until so many agree and the 95 % interval of every median is within
    `interval_share` of it, but no more seconds than `max_seconds` for each entry. Requests come back to back, or
    `requests_per_s` of them. `emulated` are the limits that were imposed to imitate a smaller machine.
    """

    lengths: Annotated[tuple[Length, ...], Meta(min_length=1)]
    batch_sizes: Annotated[tuple[BatchSize, ...], Meta(min_length=1)]
    min_rounds: Count
    min_runs: Count
    min_seconds: NotNegative
    max_seconds: NotNegative
    interval_share: Positive
    requests_per_s: Positive | None
    emulated: Limits | None

    def __post_init__(self) -> None:
        for name in ("lengths", "batch_sizes"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)):
                raise ValueError(f"expected {name} in ascending order, each once, found {list(values)}")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes of a request: every batch size with every length."""
        return tuple(Shape(batch_size=size, length=length) for size in self.batch_sizes for length in self.lengths)

    def merged(self, newer: "ProfileSettings") -> "ProfileSettings":
        """Return what holds for entries measured either way: of rounds, runs and exactness the lesser."""
        least = ("min_rounds", "min_runs", "min_seconds", "max_seconds")
        return msgspec.structs.replace(
            newer,
            **{name: min(getattr(self, name), getattr(newer, name)) for name in least},
            interval_share=max(self.interval_share, newer.interval_share),
        )

    @property
    def threads(self) -> int:
        """The usual number of threads on this machine, or on the one that is emulated."""
        return self._on_emulated(default_threads())

    @property
    def max_threads(self) -> int:
        """The most threads that are worth measuring there."""
        return self._on_emulated(thread_counts()[-1])

    def _on_emulated(self, threads: int) -> int:
        return self.emulated.whole_cores(threads) if self.emulated else threads


def settings_for(
    bundle: Bundle,
    *,
    lengths: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1,),
    quick: bool = False,
    requests_per_s: float | None = None,
    emulate: Limits | None = None,
) -> ProfileSettings:
    """Return how a bundle is profiled, exactly or in a quick way; see `edgebert.profile`.

    Raises:
        ProfileError: a length, batch size or pace that cannot be measured.
    """
    longest = bundle.manifest.max_length
    if not lengths:
        lengths = [*(length for length in _DEFAULT_LENGTHS if length < longest), longest]
    if requests_per_s is not None and not requests_per_s > 0:
        raise ProfileError(f"expected a number of requests a second above 0, found {requests_per_s}; raise it")

    # For the twelve sub-networks of the built-in bundle about 4 s and 40 to 55 s (benchmarks/profile_time.py).
    return ProfileSettings(
        lengths=_checked("length", lengths, _MIN_LENGTH, longest),
        batch_sizes=_checked("batch size", batch_sizes, 1, _MAX_BATCH_SIZE),
        min_rounds=1 if quick else 3,
        min_runs=10 if quick else 20,
        min_seconds=0.05 if quick else 0.3,
        max_seconds=0.5 if quick else 2.2,
        interval_share=0.02,
        requests_per_s=requests_per_s,
        emulated=emulate,
    )


def _checked(word: str, values: Sequence[int], least: int, most: int) -> tuple[int, ...]:
    """Return numbers in ascending order, each once, if all are within a range."""
    for value in values:
        if not least <= value <= most:
            raise ProfileError(f"expected a {word} of {least} to {most}, found {value}; choose one of these")
    return tuple(sorted(set(values)))
