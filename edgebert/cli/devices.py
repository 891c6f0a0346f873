"""Show this machine: CPU, instruction sets, memory and the engines that can run networks here."""

import argparse

from edgebert.cli.output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: there are none."""


def run(options: argparse.Namespace) -> None:
    """Print what this device is."""
    import msgspec

    from edgebert.engines.session import engines_here
    from edgebert.machine.device import default_threads, this_device

    device, engines = this_device(), engines_here()
    if options.json:
        facts = {**msgspec.to_builtins(device), "fingerprint": device.fingerprint}
        found = [{"name": one.NAME, "devices": one.devices(), "version": one.version()} for one in engines]
        print_json({**facts, "engines": found})
        return
    print_text(f"CPU               {device.cpu} ({device.architecture})")
    print_text(f"instruction sets  {', '.join(device.instruction_sets) or 'unknown'}")
    print_text(f"cores             {device.physical_cores} physical, {device.usable_cores} usable")
    print_text(f"threads           {default_threads()} by default")
    print_text(f"memory            {device.memory_mb} MB")
    print_text(f"system            {device.os}")
    for number, engine in enumerate(engines):
        name = f"{engine.NAME} on {', '.join(engine.devices())}: {engine.version()}"
        print_text(f"{'' if number else 'engines':18}{name}")
