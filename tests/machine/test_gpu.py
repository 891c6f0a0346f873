import sys
from pathlib import Path

from machines import write

from edgebert.machine.gpu import nvidia_gpus

INFORMATION = """\
Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 142
GPU UUID: \t GPU-00000000-0000-0000-0000-000000000000
Bus Type: \t PCIe
"""


def test_the_driver_names_its_gpus(tmp_path: Path) -> None:
    folder = "proc/driver/nvidia/gpus"
    write(tmp_path, {f"{folder}/0000:1b:00.0/information": INFORMATION, f"{folder}/0000:43:00.0/information": ""})
    assert nvidia_gpus(tmp_path, "no such tool") == ("NVIDIA H100 80GB HBM3", "NVIDIA GPU")


def test_where_the_driver_shows_no_files_its_tool_tells_of_it(tmp_path: Path) -> None:
    assert nvidia_gpus(tmp_path, sys.executable) == ("NVIDIA GPU",)
    assert nvidia_gpus(tmp_path, "no such tool") == ()
