"""A process that reads one mutant after the other and tells what came of each; `watcher` runs and watches it.

A job comes as a line of JSON on standard input. Its recipe is told before it is read, so that it is known of a reader
that never comes back, and the outcome after it, both on the standard output that this process was started with.
"""

import contextlib
import ctypes
import json
import logging
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any

from fuzz.place_edits import BAIT
from fuzz.recipes import Recipe, apply
from fuzz.targets import TARGETS, FaultError, Target, check_message

_IN_OPEN, _IN_NONBLOCK = 0x20, 0o4000


class _Bait:
    """Tells whether a file was opened, by this process or a library in it."""

    def __init__(self, path: Path):
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(_IN_NONBLOCK)
        libc.inotify_add_watch(self._events, os.fsencode(path), _IN_OPEN)

    def opened(self) -> bool:
        """Return whether it was since the last call."""
        try:
            return bool(os.read(self._events, 65536))
        except BlockingIOError:
            return False


class _Printed:
    """What this process and the libraries in it write to a file descriptor, caught in a file."""

    def __init__(self, descriptor: int, path: Path):
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115
        os.dup2(self._file.fileno(), descriptor)

    def take(self) -> str:
        """Return what was written since the last call."""
        content = os.pread(self._file.fileno(), 1 << 20, 0)
        os.ftruncate(self._file.fileno(), 0)
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return content.strip(b"\x00").decode("utf-8", "replace")


def run_job(job: dict[str, Any], workspace: Path, own: Path, bait: _Bait, tell: Any) -> dict[str, Any]:
    """Make a mutant, read it and return what came of it."""
    target: Target = TARGETS[job["target"]]
    random = Random(f"{job['target']}:{job['seed']}")
    base, folder = workspace / "bases" / target.base, own / "mutant"
    recipe: Recipe = target.recipe(random, base) if job["recipe"] is None else job["recipe"]
    tell({"recipe": recipe})

    _clear(own)
    # Links to the files of the base cost nothing; edits put new files in their place.
    shutil.copytree(base, folder, copy_function=os.link)
    apply(recipe, folder)
    target.prepare(folder)
    bait.opened()  # by what made the mutant
    held_mb = _memory_mb("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    start = time.process_time()
    kind, detail = _outcome(target, folder, recipe, Random(f"read {job['target']}:{job['seed']}"))
    if bait.opened() and target.stays_inside(recipe):
        kind = "opened another file"
    return {
        "kind": kind,
        "detail": detail,
        "cpu_s": round(time.process_time() - start, 3),
        "growth_mb": round(_memory_mb("VmHWM") - held_mb),
        "held_mb": round(_memory_mb("VmRSS")),
    }


def _outcome(target: Target, folder: Path, recipe: Recipe, random: Random) -> tuple[str, str]:
    """Return the kind of an outcome and its details: "right", "refused", or what is wrong."""
    from edgebert.errors import EdgeBertError

    try:
        target.read(folder, recipe, random)
    except FaultError as fault:
        return fault.kind, str(fault)
    except EdgeBertError as problem:
        try:
            check_message(str(problem))
        except FaultError as fault:
            return fault.kind, str(fault)
        return ("refused" if target.may_refuse else "refused what is not the user's"), str(problem)[:500]
    except BaseException as problem:  # a panic of a library written in Rust is no Exception
        return "exception", _where(problem)
    return "right", ""


def _where(problem: BaseException) -> str:
    """Return an exception's type and message, and the last of edgebert's lines that it came through."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if "fuzz" not in Path(frame.filename).parts] or frames
    own = [frame for frame in ours if {"edgebert", "exporters"} & {*Path(frame.filename).parts}]
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in (own or ours)[-1:]]
    return f"{type(problem).__name__} in {' '.join(places)}: {str(problem)[:300]}"


def _memory_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1000
    return 0.0


# In a process of ours, the command line's or a trial's, it goes to standard error (edgebert/standard_output.py).
_TOLD_BY_TOKENIZERS = "Ignored unknown kwarg option"


def _clear(own: Path) -> None:
    for path in own.iterdir():
        if path.name == BAIT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def main() -> None:
    """Do jobs until standard input ends."""
    workspace, own = Path(sys.argv[1]), Path(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    printed, told = _Printed(1, own.with_suffix(".out")), _Printed(2, own.with_suffix(".err"))
    logging.getLogger().addHandler(logging.NullHandler())

    def tell(value: dict[str, Any]) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    shutil.copyfile(workspace / BAIT, own / BAIT)
    bait = _Bait(own / BAIT)
    for line in sys.stdin:
        job = json.loads(line)
        printed.take(), told.take()
        result = run_job(job, workspace, own, bait, tell)
        # Where a reader is right or refuses, what it does beside that may still be wrong.
        sys.stdout.flush()
        noise = printed.take()
        if noise and not noise.startswith(_TOLD_BY_TOKENIZERS):
            result |= {"kind": "standard output", "detail": noise[:300]}
        tell(result)


if __name__ == "__main__":
    main()
