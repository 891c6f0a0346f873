"""Which NVIDIA GPUs are here, as the system tells it before anything is installed that could use them."""

import shutil
from pathlib import Path

from edgebert.machine.limits import system_file
from edgebert.machine.linux_processor import facts_in
from edgebert.machine.processor import one_line

_ROOT = Path("/")
# NVIDIA's driver brings it on every system, into what Windows and WSL look through for programs too.
_TOOL = "nvidia-smi"


def nvidia_gpus(root: Path = _ROOT, tool: str = _TOOL) -> tuple[str, ...]:
    """Return the name of each GPU whose driver is running; where only the driver's `tool` tells, one without a name."""
    files = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    names = tuple(one_line(facts_in(system_file(file)).get("Model", "")) or "NVIDIA GPU" for file in files)
    return names or (("NVIDIA GPU",) if shutil.which(tool) else ())
