"""One trial: a sub-network is measured in a process of its own, since memory is never given back to a process.

The profiler calls `measure_apart`, which runs `python -m edgebert.measuring.trial`: a `Trial` comes as a line of JSON
on standard input, which stays open, and a `Measurement` is printed. Where the input ends before, so does the trial.
"""

import contextlib
import gc
import itertools
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from edgebert import standard_output
from edgebert.engines.engine import Session
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.engines.session import engine_of, open_session
from edgebert.errors import BundleError, EdgeBertError, OutputError, ProfileError, cause_of, one_line
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays, Tokenizer
from edgebert.machine.device import cpus_by_speed
from edgebert.machine.limits import impose
from edgebert.measuring.numerics import Numerics, numerics
from edgebert.measuring.profile_settings import ProfileSettings, Shape
from edgebert.records import Line, NotNegative, Positive, Record
from edgebert.subnet import Way

_INPUT = 0
_WAITING_STACK_BYTES = 1 << 18


class Trial(Record, frozen=True):
    """What to measure of the bundle in a folder, and how."""

    bundle: str
    bundle_sha256: str
    subnet: str
    way: Way
    settings: ProfileSettings


class Measurement(Record, frozen=True, tag=True):
    """What was measured: costs as in a `ProfiledSubnet`, and the latencies of each shape of the settings."""

    load_ms: NotNegative
    first_ms: NotNegative
    new_shape_ms: NotNegative
    peak_memory_mb: NotNegative
    steady_memory_mb: NotNegative
    private_memory_mb: NotNegative
    numerics: Numerics
    samples_ms: Annotated[tuple[Annotated[tuple[Positive, ...], Meta(min_length=1)], ...], Meta(min_length=1)]

    def is_of(self, settings: ProfileSettings) -> bool:
        """Return whether this was measured with such settings: all their shapes, as often as they ask for."""
        enough = all(len(samples) >= settings.min_runs for samples in self.samples_ms)
        return enough and len(self.samples_ms) == len(settings.shapes)

    @property
    def medians_ms(self) -> list[float]:
        """The median latency of each shape."""
        return [float(np.median(samples)) for samples in self.samples_ms]


class Failure(Record, frozen=True, tag=True):
    """Why nothing could be measured, and whether the bundle is to blame."""

    error: str
    of_bundle: bool


class Died(Record, frozen=True, tag=True):
    """A measuring process ended without an answer, for example for want of memory, or could not run the network."""

    reason: Line


def measure_apart(trial: Trial) -> Measurement | Died:
    """Measure in a fresh process, which runs the very package that this one does.

    Raises:
        BundleError: the bundle is damaged.
        ProfileError: no process can be started.
    """
    try:
        done = _run(msgspec.json.encode(trial) + b"\n")
    except OSError as problem:  # such as no memory, or no more processes for this user
        raise ProfileError(f"cannot start a process to measure in: {cause_of(problem)}; close other programs") from None
    # Below 0 it was a signal: -9 where the system had no memory left.
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().split("\n")[-1] or "no message"
        return Died(reason=one_line(f"its process ended with status {done.returncode} ({reason})"))
    result = msgspec.json.decode(done.stdout, type=Measurement | Failure)
    if isinstance(result, Failure):
        if result.of_bundle:
            raise BundleError(result.error)
        # An engine that is not as it should be, or a way that it cannot take, leaves the others to be measured.
        return Died(reason=one_line(result.error))
    return result


def _run(line: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a trial's process with a line of input, which stays open until it has ended."""
    command, pipe, root = [sys.executable, "-m", "edgebert.measuring.trial"], subprocess.PIPE, Path(__file__).parents[2]
    # Unbuffered: what a process that has ended at once did not take is not written again when the input is closed.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=root, bufsize=0) as process:
        assert process.stdin is not None
        with process.stdin as stream:
            with contextlib.suppress(BrokenPipeError):
                stream.write(line)
            process.stdin = None  # which `communicate` would close
            output, messages = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, messages)


def measure(trial: Trial) -> Measurement:
    """Load a sub-network, serve the largest shape first, time all shapes in turn, then check the golden outputs."""
    engine = engine_of(trial.way.engine)
    before = engine.memory()
    bundle = Bundle.load(trial.bundle)
    if bundle.sha256 != trial.bundle_sha256:
        raise BundleError(f"the bundle at {bundle.path} was replaced since it was loaded; load or profile it again")
    subnet = bundle.subnet(trial.subnet)
    tokenizer = Tokenizer.of(bundle)  # for its memory, a quarter of what a small network takes: an app has one too
    start = time.perf_counter()
    session = open_session(bundle, subnet, trial.way)
    load_ms = (time.perf_counter() - start) * 1000

    requests = [request_of(bundle, session, shape) for shape in trial.settings.shapes]
    # The largest first: ONNX Runtime's arena grows to it at once, and gives nothing back (onnxruntime #26831).
    largest = max(requests, key=lambda request: request["input_ids"].size)
    first_ms = _latency_ms(session, largest)
    samples_ms = latencies(session, requests, trial.settings)

    tokenizer.encode_all(bundle.golden().texts)
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
        new_shape_ms=_new_shape_ms(bundle, session, trial.settings),
        numerics=numerics(bundle, subnet, session, FixedShapes.of(trial.way.options)),
        samples_ms=samples_ms,
    )


def latencies(
    session: Session,
    requests: Sequence[Arrays],
    settings: ProfileSettings,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[tuple[float, ...], ...]:
    """Return the latencies of each request in milliseconds; the shapes take turns, as they do in an app."""
    samples: list[list[float]] = [[] for _ in requests]
    # In one order, the shortest text always found the caches as the largest batch had left them, and predictions were
    # off by 18.6 % at the 95th percentile instead of 6.2 % (benchmarks/cost_model.py).
    turns, order = list(zip(requests, samples, strict=True)), random.Random(0)
    pause_s = 1 / settings.requests_per_s if settings.requests_per_s else 0.0
    for request in [*requests, *requests]:  # warm-up
        session.run(request)

    gc.collect()
    # Else it would fall upon one request or another.
    gc.disable()
    end = clock() + settings.min_seconds
    # All of this adds 0.25 % to a bare loop with the smallest network (benchmarks/measuring_overhead.py).
    while clock() < end or len(samples[0]) < settings.min_runs:
        order.shuffle(turns)
        for request, of_request in turns:
            start = clock()
            session.run(request)
            took_s = clock() - start
            of_request.append(took_s * 1000)
            # Even a sleep of 0 would give the core away.
            if pause_s:
                sleep(max(0.0, pause_s - took_s))
    gc.enable()
    return tuple(map(tuple, samples))


def request_of(bundle: Bundle, session: Session, shape: Shape) -> Arrays:
    """Return graph inputs of a shape, without padding, made of the tokens of the golden texts."""
    golden = bundle.golden().inputs
    tokens = np.array(golden["input_ids"])[np.array(golden["attention_mask"]) == 1]
    ids = np.resize(tokens, (shape.batch_size, shape.length)).astype(np.int64)
    columns = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: columns[name] for name in session.input_names}


def _new_shape_ms(bundle: Bundle, session: Session, settings: ProfileSettings) -> float:
    """Return what a length costs that was not met before: the median over lengths between the measured ones."""
    lengths = sorted({2, *settings.lengths})
    extra_ms = []
    for length in {(low + high) // 2 for low, high in itertools.pairwise(lengths)} - set(lengths):
        request = request_of(bundle, session, Shape(batch_size=min(settings.batch_sizes), length=length))
        # The better of two more, since any one may be late for another reason.
        first_ms, *later_ms = (_latency_ms(session, request) for _ in range(3))
        extra_ms.append(max(0.0, first_ms - min(later_ms)))
    return statistics.median(extra_ms) if extra_ms else 0.0


def _latency_ms(session: Session, request: Arrays) -> float:
    start = time.perf_counter()
    session.run(request)
    return (time.perf_counter() - start) * 1000


def _end_with_input() -> None:
    """End this process when its input does: the profiler was killed, and what is left would slow down the next one."""

    def wait() -> None:
        # Not by `sys.stdin`, whose lock Python wants when it ends.
        os.read(_INPUT, 1)
        os._exit(1)

    # A stack counts as memory of the process, which may be limited.
    before = threading.stack_size(_WAITING_STACK_BYTES)
    threading.Thread(target=wait, daemon=True).start()
    threading.stack_size(before)


def main() -> None:
    """Make the trial on standard input and print the measurement, or the reason why there is none."""
    standard_output.reserve()
    result: Measurement | Failure
    line = sys.stdin.buffer.readline()
    _end_with_input()
    try:
        trial = msgspec.json.decode(line, type=Trial)
        if trial.settings.emulated is not None:
            impose(trial.settings.emulated, cpus_by_speed())
        result = measure(trial)
    except EdgeBertError as problem:
        # What cannot be run in one way may be right in another.
        is_of_bundle = isinstance(problem, BundleError) and not isinstance(problem, OutputError)
        result = Failure(error=str(problem), of_bundle=is_of_bundle)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
