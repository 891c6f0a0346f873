"""Show this machine: CPU, instruction sets, memory, the engines that can run networks here, and those that could."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgebert.cli.output import print_json, print_text

if TYPE_CHECKING:
    from edgebert.engines.engine import Engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: there are none."""


def run(options: argparse.Namespace) -> None:
    """Print what this device is."""
    from edgebert.engines.session import engines_here, installable_engines

    if options.json:
        _print_json(engines_here(), installable_engines())
        return
    _print_machine()
    _print_lines("engines", (f"{one.NAME} on {', '.join(one.devices())}: {one.version()}" for one in engines_here()))
    _print_lines("not installed", (f"{one.NAME}, for {one.GOOD_FOR}: {one.INSTALL}" for one in installable_engines()))


def _print_json(engines: "list[Engine]", installable: "list[Engine]") -> None:
    import msgspec

    from edgebert.machine.device import default_threads, this_device, thread_counts
    from edgebert.machine.gpus import Gpus
    from edgebert.machine.thermal import is_throttled, temperature_c

    device = this_device()
    print_json(
        {
            **msgspec.to_builtins(device),
            "fingerprint": device.fingerprint,
            "threads": default_threads(),
            "thread_counts": thread_counts(),
            "temperature_c": temperature_c(),
            "is_throttled": is_throttled(),
            "gpus": Gpus().names(),
            "engines": [{"name": one.NAME, "devices": one.devices(), "version": one.version()} for one in engines],
            "installable": [{"name": one.NAME, "for": one.GOOD_FOR, "install": one.INSTALL} for one in installable],
        }
    )


def _print_machine() -> None:
    from edgebert.machine.device import default_threads, this_device, thread_counts
    from edgebert.machine.gpus import Gpus

    device = this_device()
    counts = ", ".join(map(str, thread_counts()))
    _print_lines("board", filter(None, [device.board]))
    _print_lines("CPU", [f"{device.cpu} ({device.architecture})"])
    _print_lines("instruction sets", [", ".join(device.instruction_sets) or "unknown"])
    _print_lines("cores", [f"{device.physical_cores} physical, {device.usable_cores} usable"])
    _print_lines("clusters", device.clusters)
    _print_lines("threads", [f"{default_threads()} by default, of {counts} worth measuring; the fastest cores first"])
    _print_lines("temperature", filter(None, [_heat()]))
    _print_lines("memory", [f"{device.memory_mb} MB"])
    _print_lines("GPU", Gpus().names())
    _print_lines("system", [device.os])


def _heat() -> str:
    """Return how hot the machine is and what it does about it, as far as the system tells."""
    from edgebert.machine.thermal import is_throttled, temperature_c

    celsius, throttled = temperature_c(), is_throttled()
    known = [] if celsius is None else [f"{celsius:.0f} C"]
    if throttled is not None:
        known.append("the clock is held down" if throttled else "the clock is not held down")
    return ", ".join(known)


def _print_lines(name: str, lines: Iterable[object]) -> None:
    """Print lines that share one name, which stands before the first."""
    for number, line in enumerate(lines):
        print_text(f"{'' if number else name:18}{line}")
