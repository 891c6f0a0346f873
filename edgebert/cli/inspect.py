"""Show what a bundle, a checkpoint or a profile holds."""

import argparse
from pathlib import Path
from typing import Any

from edgebert.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser, "PATH", "the folder of a bundle or of a checkpoint, or the file of a profile")


def run(options: argparse.Namespace) -> None:
    """Find out what stands at the path and print it."""
    from edgebert.cli import tables
    from edgebert.cli.output import print_json
    from edgebert.errors import EdgeBertError
    from edgebert.inputs.bundle import MANIFEST, Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.reporting.profile_report import profile_report

    path = Path(options.bundle) if options.bundle else None
    if path is None or (path / MANIFEST).is_file():
        bundle = Bundle.load(path)
        print_json(bundle.manifest) if options.json else tables.print_bundle(bundle)
    elif (path / "config.json").is_file():
        facts = _checkpoint_facts(path)
        print_json(facts) if options.json else tables.print_checkpoint(path, facts)
    elif path.is_file():
        profile, builtin = DeviceProfile.load(path), Bundle.load()
        # Only of the built-in bundle are qualities at hand.
        report = profile_report(profile, builtin if builtin.sha256 == profile.bundle_sha256 else None)
        print_json(profile) if options.json else tables.print_profile(report)
    else:
        expected = "expected the folder of a bundle or a checkpoint, or the file of a profile"
        raise EdgeBertError(f"nothing to inspect at {path}: {expected}; check the path")


def _checkpoint_facts(path: Path) -> dict[str, Any]:
    from edgebert.errors import EdgeBertError

    try:
        from edgebert.exporters.summary import describe
    except ImportError as problem:
        message = f"inspecting a checkpoint needs {problem.name}; pip install 'edgebert[export]'"
        raise EdgeBertError(message) from None
    return describe(path)
