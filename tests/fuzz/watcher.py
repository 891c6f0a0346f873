"""Runs workers and watches them: one that dies, works or waits too long, or takes too much memory is a finding."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from fuzz.recipes import Recipe, shown

_GOOD = ("right", "refused")
_POLL_S = 0.05
# A worker that holds more is replaced: ONNX Runtime gives nothing back.
_MOST_HELD_MB = 1500
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Limits:
    """What one mutant may take: seconds of work, seconds of waiting in a row, and growth of the resident memory.

    Seconds in which it would work, but others have the processors, are neither.
    """

    cpu_s: float = 10.0
    idle_s: float = 15.0
    growth_mb: float = 1000.0


LIMITS = Limits()


@dataclass(frozen=True)
class Job:
    """A mutant: of a target, by a seed or, where there is one, a recipe."""

    target: str
    seed: int
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant."""

    job: Job
    kind: str
    detail: str
    recipe: Recipe = field(default_factory=list)
    cpu_s: float = 0.0
    growth_mb: float = 0.0

    @property
    def is_fault(self) -> bool:
        """Whether it is neither a right answer nor a refusal in one clear line."""
        return self.kind not in _GOOD

    @property
    def signature(self) -> str:
        """What findings of one cause have in common, more or less."""
        words = "".join(" " if character.isdigit() else character for character in self.detail)
        return f"{self.kind} {' '.join(words.split())[:60] or self.job.target}"

    def __str__(self) -> str:
        detail = " ".join(self.detail.split())
        how = f"--target {self.job.target} --seed {self.job.seed} --recipe '{shown(self.recipe)[:2000]}'"
        return f"{self.kind}: {detail[:300]} ({self.cpu_s:.1f} s, {self.growth_mb:.0f} MB)\n    {how}"


class Worker:
    """A process for mutants, which is started again when it ends."""

    def __init__(self, workspace: Path):
        self._workspace = workspace
        self._process: subprocess.Popen[bytes] | None = None
        self._own: Path | None = None

    def run(self, job: Job, limits: Limits = LIMITS) -> Outcome:
        """Return what comes of a mutant."""
        process = self._started()
        line = json.dumps({"target": job.target, "seed": job.seed, "recipe": job.recipe})
        assert process.stdin is not None
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        told, fault = self._watch(process, limits)
        recipe = told[0]["recipe"] if told else (job.recipe or [])
        if fault:
            self.close()
            return Outcome(job, *fault, recipe=recipe)
        result = told[1]
        found = Outcome(job, result["kind"], result["detail"], recipe, result["cpu_s"], result["growth_mb"])
        if result["held_mb"] > _MOST_HELD_MB:
            self.close()
        if not found.is_fault and found.growth_mb > limits.growth_mb:
            return replace(found, kind="memory")
        if not found.is_fault and found.cpu_s > limits.cpu_s:
            return replace(found, kind="slow")
        return found

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._own = own = Path(tempfile.mkdtemp(prefix="worker-", dir=self._workspace))
            path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
            places = {"HOME": str(own), "XDG_CACHE_HOME": str(own / "cache"), "PYTHONPATH": path}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.worker", str(self._workspace), str(own)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **places, "ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"},
            )
        return self._process

    def _watch(
        self, process: "subprocess.Popen[bytes]", limits: Limits
    ) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
        """Return the lines that a worker tells of a mutant, and what is wrong if it does not come to the last."""
        assert process.stdout is not None
        seen, told, rest = psutil.Process(process.pid), [], b""
        begin = now = None
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            while True:
                if ready.select(_POLL_S):
                    new = os.read(process.stdout.fileno(), 1 << 20)
                    if not new:
                        return told, self._end_of(process)
                    *lines, rest = (rest + new).split(b"\n")
                    told += [json.loads(line) for line in lines]
                    if len(told) == 2:
                        return told, None
                if told:  # before that a worker is starting
                    now = _taken(seen, now)
                    begin = begin or now
                    fault = _beyond(begin, now, limits)
                    if fault:
                        return told, fault

    def _end_of(self, process: "subprocess.Popen[bytes]") -> tuple[str, str]:
        code = process.wait()
        assert self._own is not None
        told = self._own.with_suffix(".err").read_text(encoding="utf-8", errors="replace").strip("\0").splitlines()[-3:]
        return "crash", f"{signal.Signals(-code).name if code < 0 else f'status {code}'} {' '.join(told)}"


class _Taken(NamedTuple):
    """What a process has taken so far, and when it was last seen to work or wait for a processor."""

    cpu_s: float
    held_mb: float
    busy_at_s: float


def _taken(process: psutil.Process, before: _Taken | None) -> _Taken:
    try:
        times, held_mb = process.cpu_times(), process.memory_info().rss / 1e6
        cpu_s, threads = times.user + times.system, Path(f"/proc/{process.pid}/task").glob("*/stat")
        # Behind the name in brackets: R is running or ready to.
        is_ready = any(thread.read_bytes().rpartition(b") ")[2].startswith(b"R") for thread in threads)
    except (psutil.Error, OSError):  # it has ended, or a thread of it
        return before or _Taken(0.0, 0.0, time.monotonic())
    is_busy = is_ready or before is None or cpu_s > before.cpu_s
    return _Taken(cpu_s, held_mb, time.monotonic() if is_busy else before.busy_at_s)


def _beyond(begin: _Taken, now: _Taken, limits: Limits) -> tuple[str, str] | None:
    """Return which limit was passed; None for none."""
    if now.cpu_s - begin.cpu_s > limits.cpu_s:
        return "hang", f"more than {limits.cpu_s} s of work"
    if time.monotonic() - now.busy_at_s > limits.idle_s:
        return "hang", f"waits for more than {limits.idle_s} s"
    # Beyond what the worker measures itself: it may have grown before this began to look.
    is_large = now.held_mb - begin.held_mb > limits.growth_mb * 1.2
    return ("memory", f"more than {limits.growth_mb} MB") if is_large else None


def shortened(found: Outcome, worker: Worker) -> Outcome:
    """Return a finding with as few steps as it takes."""
    recipe = found.recipe
    for step in list(recipe):
        fewer = [one for one in recipe if one is not step]
        again = worker.run(replace(found.job, recipe=fewer))
        if again.is_fault and again.kind == found.kind:
            recipe, found = fewer, again
    return found
