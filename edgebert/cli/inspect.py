"""Show what a bundle, a checkpoint or a profile holds."""

import argparse
from pathlib import Path

from edgebert.cli import arguments
from edgebert.cli.output import print_json
from edgebert.errors import EdgeBertError, needing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser, "PATH", "the folder of a bundle or of a checkpoint, or the file of a profile")


def run(options: argparse.Namespace) -> None:
    """Find out what stands at the path and print it."""
    from edgebert.cli import tables
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.bundle_file import MANIFEST
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.reporting.profile_report import profile_report

    path = Path(options.bundle) if options.bundle else None
    # By the files in it, not by its name: what is damaged is then refused by its own reader, with the reason.
    if path is None or (path / MANIFEST).is_file():
        bundle = Bundle.load(path)
        print_json(bundle.manifest) if options.json else tables.print_bundle(bundle)
    elif (path / "config.json").is_file():
        with needing("export", "inspecting a checkpoint"):
            from edgebert.exporters.summary import describe
        facts = describe(path)
        print_json(facts) if options.json else tables.print_checkpoint(path, facts)
    elif path.is_file():
        profile, builtin = DeviceProfile.load(path), Bundle.load()
        # Only of the built-in bundle are qualities at hand.
        report = profile_report(profile, builtin if builtin.sha256 == profile.bundle_sha256 else None)
        print_json(profile) if options.json else tables.print_profile(report)
    else:
        expected = "expected the folder of a bundle or a checkpoint, or the file of a profile"
        raise EdgeBertError(f"nothing to inspect at {path}: {expected}; check the path")
