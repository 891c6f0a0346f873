"""Checks the device's side on emulated processors: `python -m emulated --cpus cortex-a72,haswell --steps golden,tests`.

qemu, and for Arm a Python and wheels, are installed into build/emulated first. Latencies under emulation are no speeds.
"""

import argparse
import sys
import time
from pathlib import Path

from emulated.installation import REPOSITORY, Installation, NotPossibleError
from emulated.machine import Machine
from emulated.processors import PROCESSORS, Processor
from emulated.steps import STEPS


def _names(known: dict[str, object]) -> "type[list[str]]":
    def chosen(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, found {name!r}")
        return names

    return chosen  # type: ignore[return-value]


def main() -> int:
    """Run the steps on each processor, print how long each took, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", type=_names(PROCESSORS), required=True, help=", ".join(PROCESSORS))
    parser.add_argument("--steps", type=_names(STEPS), default=[*STEPS][:4], help=", ".join(STEPS))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build" / "emulated")
    options = parser.parse_args()
    try:
        machines = _machines([PROCESSORS[name] for name in options.cpus], Installation(options.folder.absolute()))
    except NotPossibleError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1

    faults = [fault for machine in machines for step in options.steps for fault in _done(machine, step)]
    _say(*faults, f"{len(machines)} processors, {len(options.steps)} steps each, {len(faults)} faults")
    return 1 if faults else 0


def _machines(processors: list[Processor], installation: Installation) -> list[Machine]:
    start = time.monotonic()
    installation.add_qemu()
    for architecture in sorted({processor.architecture for processor in processors}):
        if architecture == "arm64":
            installation.add_arm_python()
        installation.add_packages(architecture)
    machines = [Machine(processor, installation) for processor in processors]
    for machine in machines:
        machine.check()
    _say(f"installed in {time.monotonic() - start:.0f} s")
    return machines


def _done(machine: Machine, step: str) -> list[str]:
    """Run a step on a machine, and return its faults under the names of both."""
    name, start = f"{machine.processor.name}, {step}", time.monotonic()
    _say(f"{name}:")
    faults = STEPS[step](machine)
    _say(f"{name}: {time.monotonic() - start:.0f} s, {'wrong' if faults else 'right'}")
    return [f"{name}: {fault}" for fault in faults]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
