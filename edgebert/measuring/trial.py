"""Measures one sub-network in this process, which must be a fresh one: memory is never given back to it.

Run by the profiler as `python -m edgebert.measuring.trial`: a task comes as JSON on standard input, a measurement is
printed.
"""

import gc
import itertools
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from edgebert.engines.engine import Session
from edgebert.engines.session import engine_of, open_session
from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.limits import Limits, impose
from edgebert.records import Record
from edgebert.subnet import Way
from edgebert.tasks.task import mean_difference
from edgebert.tasks.tasks import task_in


class Shape(Record, frozen=True):
    """The shape (batch_size, length) of a request."""

    batch_size: int
    length: int


class Task(Record, frozen=True):
    """What to measure: each shape at least `min_runs` times, and all of them for at least `min_seconds`.

    With `requests_per_s` the requests are paced as an app may send them, else they come back to back.
    """

    bundle: str
    subnet: str
    way: Way
    shapes: tuple[Shape, ...]
    min_runs: int
    min_seconds: float
    requests_per_s: float | None = None
    limits: Limits | None = None


class Numerics(Record, frozen=True):
    """How far the golden outputs are missed: by how much on average, and for how many texts the answer is wrong.

    An answer counts only where the right one is clear beyond the tolerance.
    """

    difference: float
    tolerance: float
    wrong_answers: int

    @property
    def ok(self) -> bool:
        """Whether this device computes what was exported."""
        return self.difference <= self.tolerance and self.wrong_answers == 0

    def __str__(self) -> str:
        difference = f"outputs are {self.difference:.2g} off, {self.tolerance:.2g} is allowed"
        return f"{difference}; {self.wrong_answers} answers are wrong" if self.wrong_answers else difference


class Measurement(Record, frozen=True, tag=True):
    """What was measured; `samples_ms` holds the latencies of each shape of the task, in its order.

    `new_shape_ms` is what meeting a length for the first time costs beyond meeting it again. Of the steady memory
    `private_memory_mb` is this process's alone; the rest is file-backed and can be shared or dropped.
    """

    load_ms: float
    first_ms: float
    new_shape_ms: float
    peak_memory_mb: float
    steady_memory_mb: float
    private_memory_mb: float
    numerics: Numerics
    samples_ms: tuple[tuple[float, ...], ...]


class Failure(Record, frozen=True, tag=True):
    """Why nothing could be measured, and whether the bundle is to blame."""

    error: str
    of_bundle: bool


def measure(task: Task) -> Measurement:
    """Load a sub-network, serve the largest shape first, time all shapes in turn, then check the golden outputs."""
    engine = engine_of(task.way.engine)
    before = engine.memory()
    bundle = Bundle.load(task.bundle)
    subnet = bundle.subnet(task.subnet)
    start = time.perf_counter()
    session = open_session(bundle, subnet, task.way)
    load_ms = _milliseconds_since(start)
    requests = [_request(bundle, session, shape) for shape in task.shapes]
    largest = max(requests, key=lambda request: request["input_ids"].size)
    start = time.perf_counter()
    session.run(largest)
    first_ms = _milliseconds_since(start)
    samples_ms = _latencies(session, requests, task)
    after = engine.memory()
    steady_memory_mb = max(0.0, after.resident_mb - before.resident_mb)
    return Measurement(
        load_ms=load_ms,
        first_ms=first_ms,
        # The system counts the two at different moments: the peak may lag by a few pages.
        peak_memory_mb=max(steady_memory_mb, after.peak_mb - before.resident_mb),
        steady_memory_mb=steady_memory_mb,
        private_memory_mb=min(steady_memory_mb, max(0.0, after.private_mb - before.private_mb)),
        # Last: both meet shapes that were not asked for.
        new_shape_ms=_new_shape_ms(bundle, session, task.shapes),
        numerics=numerics(bundle, subnet, session),
        samples_ms=samples_ms,
    )


def _latencies(session: Session, requests: list[Arrays], task: Task) -> tuple[tuple[float, ...], ...]:
    """Return the latencies of each request in milliseconds; the shapes take turns, as they do in an app.

    Their order changes, since what ran before decides what the caches hold.
    """
    samples: list[list[float]] = [[] for _ in requests]
    turns, order = list(zip(requests, samples, strict=True)), random.Random(0)
    pause_s = 1 / task.requests_per_s if task.requests_per_s else 0.0
    for request in requests * 2:  # warm-up
        session.run(request)
    gc.collect()
    gc.disable()
    end = time.perf_counter() + task.min_seconds
    while time.perf_counter() < end or len(samples[0]) < task.min_runs:
        order.shuffle(turns)
        for request, of_shape in turns:
            start = time.perf_counter()
            session.run(request)
            of_shape.append(_milliseconds_since(start))
            if pause_s:
                time.sleep(max(0.0, pause_s - of_shape[-1] / 1000))
    gc.enable()
    return tuple(tuple(of_shape) for of_shape in samples)


def _new_shape_ms(bundle: Bundle, session: Session, shapes: Sequence[Shape]) -> float:
    """Return the median over lengths between the measured ones of the first latency less the better of two more."""
    batch_size = min(shape.batch_size for shape in shapes)
    lengths = sorted({2, *(shape.length for shape in shapes)})
    extra_ms = []
    for length in {(low + high) // 2 for low, high in itertools.pairwise(lengths)} - set(lengths):
        request = _request(bundle, session, Shape(batch_size=batch_size, length=length))
        first_ms, *later_ms = (_latency_ms(session, request) for _ in range(3))
        extra_ms.append(max(0.0, first_ms - min(later_ms)))
    return statistics.median(extra_ms) if extra_ms else 0.0


def _latency_ms(session: Session, request: Arrays) -> float:
    start = time.perf_counter()
    session.run(request)
    return _milliseconds_since(start)


def numerics(bundle: Bundle, subnet: ExportedSubnet, session: Session) -> Numerics:
    """Return how far a session misses a sub-network's golden outputs: of several, the one that is farthest off."""
    golden = bundle.golden()
    expected = golden.values_of(subnet.id)
    if not expected:
        raise ProfileError(f"bundle '{bundle.manifest.name}' has no golden output for {subnet.id}; export it again")
    inputs = {name: np.array(golden.inputs[name], dtype=np.int64) for name in session.input_names}

    found, right = session.run(inputs), {output.name: output.array for output in expected}
    worst = max(expected, key=lambda output: mean_difference(found, {output.name: output.array}) / output.tolerance)
    difference = mean_difference(found, {worst.name: right[worst.name]})
    if not math.isfinite(difference):
        return Numerics(difference=sys.float_info.max, tolerance=worst.tolerance, wrong_answers=len(golden.texts))
    wrong = task_in(bundle.manifest).wrong_answers(found, right, worst.tolerance)
    return Numerics(difference=difference, tolerance=worst.tolerance, wrong_answers=wrong)


def _request(bundle: Bundle, session: Session, shape: Shape) -> Arrays:
    """Return graph inputs of a shape, without padding, made of the tokens of the golden texts."""
    golden = bundle.golden().inputs
    tokens = np.array(golden["input_ids"])[np.array(golden["attention_mask"]) == 1]
    ids = np.resize(tokens, (shape.batch_size, shape.length)).astype(np.int64)
    columns = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: columns[name] for name in session.input_names}


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Measure the task on standard input and print the measurement, or the reason why there is none."""
    result: Measurement | Failure
    try:
        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        if task.limits is not None:
            impose(task.limits)
        result = measure(task)
    except EdgeBertError as problem:
        result = Failure(error=str(problem), of_bundle=isinstance(problem, BundleError))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
