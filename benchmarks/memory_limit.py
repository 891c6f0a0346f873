"""Does a process survive with what it held before loading, the profile's peak memory and a tenth of that?

Each of the built-in bundle's twelve sub-networks is profiled, then serves its profiled shapes 1,000 times, in a fresh
process of a control group whose limit is set before it loads (Linux, as root). The bundle's files are dropped from the
system's cache first, so that they count, too. A group may drop file pages and read them again: it kills where that does
not help, and starves what does nothing else. Without a control group, RLIMIT_DATA limits what is private. As a check
that a limit bites, the same with smaller shares of the peak.

    python benchmarks/memory_limit.py
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device
from edgebert.measuring import profiler
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.measuring.profile_settings import Shape

REQUESTS = Path(__file__).parent / "contenders" / "edgebert_requests.py"
CGROUPS = Path("/sys/fs/cgroup")
PATIENCE_S = 20  # ten times as long as the largest needs
JOIN = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@dataclass(frozen=True)
class Outcome:
    """What became of a process with a share of the profiled peak; what ended it is None if it was still at it."""

    subnet: str
    share: float
    peak_memory_mb: float
    private_memory_mb: float
    held_mb: float | None
    seconds: float
    status: int | None


def profile(bundle: Bundle, lengths: Sequence[int]) -> DeviceProfile:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        return profiler.profile(bundle, lengths=lengths, provider="cpu", quick=True)


def memory_group() -> Path | None:
    """Return the control group for memory that this process is in, None if no others can be made in it."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        group = CGROUPS / controllers / path.lstrip("/")
        limit = "memory.limit_in_bytes" if controllers == "memory" else "memory.max"
        if controllers in ("memory", "") and (group / limit).exists() and os.access(group, os.W_OK):
            return group
    return None


@contextlib.contextmanager
def fresh_group(parent: Path | None) -> Iterator[Path | None]:
    """Make a control group within another, which is empty when this ends."""
    if parent is None:
        yield None
        return
    group = parent / f"edgebert-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        group.rmdir()


def serve(
    bundle: Bundle, entry: ProfiledSubnet, shapes: Sequence[Shape], share: float, requests: int, parent: Path | None
) -> Outcome:
    """Let a fresh process serve requests within a share of an entry's peak."""
    task = {"bundle": str(bundle.path), "subnet": entry.id, "shapes": msgspec.to_builtins(shapes), "requests": requests}
    task |= {"way": msgspec.to_builtins(entry.way), "grant_mb": share * entry.peak_memory_mb}
    drop_from_cache(bundle.path)
    with fresh_group(parent) as group:
        command = [sys.executable, str(REQUESTS), json.dumps(task | {"group": str(group) if group else None})]
        join = ["sh", "-c", JOIN, str(group)] if group else []
        start = time.perf_counter()
        status, output = run([*join, *command])
        seconds = time.perf_counter() - start
    held_mb = json.loads(output)["held_mb"] if status == 0 else None
    memory = {"peak_memory_mb": entry.peak_memory_mb, "private_memory_mb": entry.private_memory_mb}
    return Outcome(subnet=entry.id, share=share, status=status, seconds=seconds, held_mb=held_mb, **memory)


def run(command: Sequence[str]) -> tuple[int | None, bytes]:
    """Run a command for as long as there is patience; return its exit status, if it came to an end, and its output."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, b""
    return done.returncode, done.stdout


def drop_from_cache(folder: Path) -> None:
    """Let the system forget a folder's files: what reads them next is charged for them."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def print_summary(result: dict) -> None:
    outcomes = [Outcome(**one) for one in result["outcomes"]]
    shares = sorted({one.share for one in outcomes}, reverse=True)
    rows = []
    for entry in (one for one in outcomes if one.share == shares[0]):
        ends = {one.share: one for one in outcomes if one.subnet == entry.subnet}
        held = max((one.held_mb for one in ends.values() if one.held_mb), default=None)
        cells = [f"{entry.peak_memory_mb:.1f}", f"{entry.private_memory_mb:.1f}", f"{held:.0f}" if held else "-"]
        rows.append([entry.subnet, *cells, *(ended(ends[share]) for share in shares)])
    print(f"{result['device']}; limited by {result['limit']}; seconds that {result['requests']} requests took\n")
    columns = ["peak MB", "private MB", "held before, MB", *(f"with {share:.0%}" for share in shares)]
    print_table(rows, ["sub-network", *columns])


def ended(outcome: Outcome) -> str:
    if outcome.status == 0:
        return f"{outcome.seconds:.1f} s"
    return {None: "starved", -9: "killed"}.get(outcome.status, f"status {outcome.status}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.1, 0.7])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, parent = Bundle.load(), memory_group()
    found = profile(bundle, (16, 64, 128))
    outcomes = [
        serve(bundle, entry, found.settings.shapes, share, options.requests, parent)
        for entry in found.subnetworks
        for share in options.shares
    ]
    result = {
        "device": str(this_device()),
        "limit": "a control group" if parent else "RLIMIT_DATA",
        "requests": options.requests,
        "outcomes": [asdict(one) for one in outcomes],
    }
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
