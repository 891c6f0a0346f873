"""Exports CHECKPOINT to BUNDLE, and prints the most memory that this took (on Linux).

Twelve sub-networks in each of --precisions, or with --alone the full one.

python benchmarks/contenders/edgebert_export.py CHECKPOINT BUNDLE --precisions int8,int8-static --calibrate DATA
"""

import argparse
import json
from pathlib import Path

from edgebert.cli.arguments import names
from edgebert.exporters.build import export

WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)


def peak_memory_mb() -> float:
    # Not getrusage: it starts from what the parent process held.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--precisions", type=names, default=["int8"])
    parser.add_argument("--calibrate", type=Path)
    parser.add_argument("--alone", action="store_true")
    options = parser.parse_args()
    export(
        options.checkpoint,
        options.bundle,
        widths=(1.0,) if options.alone else WIDTHS,
        depths=(1.0,) if options.alone else DEPTHS,
        precisions=options.precisions,
        calibration_data=options.calibrate,
    )
    print(json.dumps({"peak_memory_mb": peak_memory_mb()}), flush=True)
