"""What a page is asked to measure, and what it posts: read strictly, for it comes from outside."""

from typing import Annotated

from msgspec import Meta

from edgebert.machine.canary import Reading
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring.numerics import Numerics
from edgebert.records import Count, Line, Natural, NotNegative, Positive, Record
from edgebert.subnet import Way

# As many as a profiling of JavaScript makes, with the short look before the first, which is number 0.
_MOST_ROUNDS = 10

Samples = Annotated[tuple[Positive, ...], Meta(min_length=1)]


class Asked(Record, frozen=True):
    """What a page is asked to measure, as the options of `edgebert profile` say; None leaves it to the page."""

    bundle: Line
    bundle_sha256: Line
    quick: bool
    lengths: tuple[int, ...] | None
    batch_sizes: tuple[int, ...] | None
    threads: int | None
    subnets: tuple[str, ...] | None


class PageMeasurement(Record, frozen=True, tag="Measurement"):
    """What a page measured in one trial: as `edgebert.measuring.trial.Measurement`, with memory where that is shown.

    A sample of a shape is the mean of so many runs.
    """

    load_ms: NotNegative
    first_ms: NotNegative
    new_shape_ms: NotNegative
    peak_memory_mb: NotNegative | None
    steady_memory_mb: NotNegative | None
    private_memory_mb: NotNegative | None
    numerics: Numerics
    runs_per_sample: Annotated[tuple[Count, ...], Meta(min_length=1)]
    samples_ms: Annotated[tuple[Samples, ...], Meta(min_length=1)]


class PageFailure(Record, frozen=True, tag="Failure"):
    """Why a page could not measure something."""

    reason: Line


class PageTrial(Record, frozen=True):
    """What came of one trial in one round, and the state of the device around it."""

    round: Annotated[int, Meta(ge=0, le=_MOST_ROUNDS)]
    subnet: Line
    way: Way
    reading: Reading
    result: PageMeasurement | PageFailure

    @property
    def key(self) -> tuple[int, str, Way]:
        """What tells trials of one profiling apart."""
        return self.round, self.subnet, self.way


class Posted(Record, frozen=True):
    """A trial that a device has made, as its number `done` of about `total`."""

    device: JavaScriptDevice
    done: Natural
    total: Natural
    trial: PageTrial


class PostedProblem(Record, frozen=True):
    """Why a page goes no further."""

    reason: Line
