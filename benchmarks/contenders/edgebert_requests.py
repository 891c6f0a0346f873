"""Serves a sub-network's profiled shapes in turn, while no more memory is there than the profile says that it needs.

Reads `bundle`, `way`, `shapes`, `requests`, `grant_mb` and `group` as JSON. Once everything is imported, the limit is
set to what the process holds then and `grant_mb`: by the control group at `group`, which it must have started in, or
else by RLIMIT_DATA. Prints what it held before.

python benchmarks/contenders/edgebert_requests.py '{"bundle": ...}'
"""

import json
import resource
import sys
from pathlib import Path

import msgspec

from edgebert.engines.session import open_session
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.profile_settings import Shape
from edgebert.measuring.trial import request_of
from edgebert.subnet import Way


def held_bytes(group: Path | None) -> int:
    """Return what counts towards the limit."""
    if group is None:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    name = "memory.current" if (group / "memory.current").exists() else "memory.usage_in_bytes"
    return int((group / name).read_text(encoding="ascii"))


def limit(group: Path | None, most_bytes: int) -> None:
    if group is None:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
        return
    name = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
    (group / name).write_text(str(most_bytes), encoding="ascii")


def main() -> None:
    task = json.loads(sys.argv[1])
    group = Path(task["group"]) if task["group"] else None
    held = held_bytes(group)
    limit(group, held + round(task["grant_mb"] * 1e6))
    bundle = Bundle.load(task["bundle"])
    session = open_session(bundle, bundle.subnet(task["subnet"]), msgspec.convert(task["way"], Way))
    shapes = msgspec.convert(task["shapes"], tuple[Shape, ...])
    requests = [request_of(bundle, session, shape) for shape in shapes]
    for number in range(task["requests"]):
        session.run(requests[-1 - number % len(requests)])  # the largest first
    print(json.dumps({"held_mb": held / 1e6}), flush=True)


if __name__ == "__main__":
    main()
