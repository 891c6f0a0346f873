"""Exports CHECKPOINT to BUNDLE in twelve int8 sub-networks, and prints the most memory that this took (on Linux).

python benchmarks/contenders/edgebert_export.py CHECKPOINT BUNDLE
"""

import json
import sys
from pathlib import Path

from edgebert.exporters.build import export

WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)


def peak_memory_mb() -> float:
    # Not getrusage: it starts from what the parent process held.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2], widths=WIDTHS, depths=DEPTHS, precisions=("int8",))
    print(json.dumps({"peak_memory_mb": peak_memory_mb()}), flush=True)
