"""Show this machine: CPU, instruction sets, memory and ONNX Runtime providers."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: there are none."""


def run(options: argparse.Namespace) -> None:
    """Print what this device is."""
    import msgspec

    from edgebert.cli.output import print_json
    from edgebert.engines.session import engine_versions, engines_here
    from edgebert.machine.device import default_threads, this_device

    device = this_device()
    if options.json:
        facts = {**msgspec.to_builtins(device), "fingerprint": device.fingerprint}
        engines = [{"name": one.NAME, "devices": one.devices(), "version": one.version()} for one in engines_here()]
        print_json({**facts, "engines": engines})
        return
    print(f"CPU               {device.cpu} ({device.architecture})")
    print(f"instruction sets  {', '.join(device.instruction_sets) or 'unknown'}")
    print(f"cores             {device.physical_cores} physical, {device.usable_cores} usable")
    print(f"threads           {default_threads()} by default")
    print(f"memory            {device.memory_mb} MB")
    print(f"system            {device.os}")
    print(f"engines           {', '.join(f'{name} ({version})' for name, version in engine_versions().items())}")
