"""Measures one sub-network in this process, which must be a fresh one: memory is never given back to it.

Run by the profiler as `python -m edgebert.measuring`, with a task as JSON on standard input; prints a measurement.
"""

import gc
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from edgebert.bundle import Bundle, ExportedSubnet
from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.records import Record
from edgebert.session import Session, open_session
from edgebert.subnet import Flavor
from edgebert.tokenization import Arrays


class Shape(Record, frozen=True):
    """The shape (batch_size, length) of a request."""

    batch_size: int
    length: int


class Task(Record, frozen=True):
    """What to measure: each shape at least `min_runs` times, and all of them for at least `min_seconds`."""

    bundle: str
    subnet: str
    flavor: Flavor
    provider: str
    threads: int
    shapes: tuple[Shape, ...]
    min_runs: int
    min_seconds: float


class Measurement(Record, frozen=True, tag=True):
    """What was measured; `samples_ms` holds the latencies of each shape of the task, in its order."""

    load_ms: float
    first_ms: float
    peak_memory_mb: float
    steady_memory_mb: float
    numerics_ok: bool
    samples_ms: tuple[tuple[float, ...], ...]


class Failure(Record, frozen=True, tag=True):
    """Why nothing could be measured, and whether the bundle is to blame."""

    error: str
    of_bundle: bool


def measure(task: Task) -> Measurement:
    """Load a sub-network, serve the largest shape first, time all shapes in turn, then check the golden outputs."""
    before_mb = _resident_mb()
    bundle = Bundle.load(task.bundle)
    subnet = bundle.subnet(task.subnet)
    start = time.perf_counter()
    session = open_session(bundle, subnet, flavor=task.flavor, provider=task.provider, threads=task.threads)
    load_ms = _milliseconds_since(start)
    requests = [_request(bundle, session, shape) for shape in task.shapes]
    largest = max(requests, key=lambda request: request["input_ids"].size)
    start = time.perf_counter()
    session.run(largest)
    first_ms = _milliseconds_since(start)
    samples_ms = _latencies(session, requests, task)
    steady_memory_mb = max(0.0, _resident_mb() - before_mb)
    return Measurement(
        load_ms=load_ms,
        first_ms=first_ms,
        # The system counts the two at different moments: the peak may lag by a few pages.
        peak_memory_mb=max(steady_memory_mb, _peak_resident_mb() - before_mb),
        steady_memory_mb=steady_memory_mb,
        numerics_ok=numerics_ok(bundle, subnet, session),  # last: its batch is larger than a profiled shape may be
        samples_ms=samples_ms,
    )


def _latencies(session: Session, requests: list[Arrays], task: Task) -> tuple[tuple[float, ...], ...]:
    """Return the latencies of each request in milliseconds; the shapes take turns, as they do in an app."""
    samples: list[list[float]] = [[] for _ in requests]
    for request in requests * 2:  # warm-up
        session.run(request)
    gc.collect()
    gc.disable()
    end = time.perf_counter() + task.min_seconds
    while time.perf_counter() < end or len(samples[0]) < task.min_runs:
        for request, of_shape in zip(requests, samples, strict=True):
            start = time.perf_counter()
            session.run(request)
            of_shape.append(_milliseconds_since(start))
    gc.enable()
    return tuple(tuple(of_shape) for of_shape in samples)


def numerics_ok(bundle: Bundle, subnet: ExportedSubnet, session: Session) -> bool:
    """Return whether a session gives a sub-network's golden outputs within their tolerance."""
    golden = bundle.golden()
    expected = [output for output in golden.outputs if output.id == subnet.id]
    if len(expected) != 1:
        raise ProfileError(f"bundle '{bundle.manifest.name}' has no golden output for {subnet.id}; export it again")
    inputs = {name: np.array(golden.inputs[name], dtype=np.int64) for name in session.input_names}
    found, right = session.run(inputs), np.array(expected[0].logits, dtype=np.float32)
    return found.shape == right.shape and mean_difference(found, right) <= expected[0].tolerance


def mean_difference(found: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return how far logits (batch, labels) lie apart: each text's largest difference, on average over the batch.

    A rounding that falls the other way may move a single text far; wrong arithmetic moves them all.
    """
    return float(np.abs(found - right).max(axis=1).mean())


def _request(bundle: Bundle, session: Session, shape: Shape) -> Arrays:
    """Return graph inputs of a shape, without padding, made of the tokens of the golden texts."""
    golden = bundle.golden().inputs
    tokens = np.array(golden["input_ids"])[np.array(golden["attention_mask"]) == 1]
    ids = np.resize(tokens, (shape.batch_size, shape.length)).astype(np.int64)
    columns = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: columns[name] for name in session.input_names}


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def _resident_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def _peak_resident_mb() -> float:
    """Return the most that was ever resident of this process."""
    try:
        # Not getrusage: on Linux it starts from what the parent process held.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Measure the task on standard input and print the measurement, or the reason why there is none."""
    result: Measurement | Failure
    try:
        result = measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Task))
    except EdgeBertError as problem:
        result = Failure(error=str(problem), of_bundle=isinstance(problem, BundleError))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
