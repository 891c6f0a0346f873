"""Show what a bundle, a checkpoint or a profile holds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments
from edgebert.cli.output import print_json
from edgebert.errors import EdgeBertError, ProfileError, needing

if TYPE_CHECKING:
    from edgebert.measuring.device_profile import DeviceProfile


_EXPECTED = "expected the folder of a bundle or a checkpoint, or the file of a profile"
_OF_FOLDERS = (".onnx", ".bin", ".safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser, "PATH", "the folder of a bundle or of a checkpoint, or the file of a profile")


def run(options: argparse.Namespace) -> None:
    """Find out what stands at the path and print it."""
    from edgebert.cli import tables
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.bundle_file import MANIFEST
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
        profile, builtin = _read_profile(path), Bundle.load()
        # Only of the built-in bundle are qualities at hand.
        report = profile_report(profile, builtin if builtin.sha256 == profile.bundle_sha256 else None)
        print_json(profile) if options.json else tables.print_profile(report)
    else:
        raise EdgeBertError(f"nothing to inspect at {path}: {_EXPECTED}, found {_found(path)}; check the path")


def _read_profile(path: Path) -> "DeviceProfile":
    from edgebert.inputs.bundle_file import MANIFEST
    from edgebert.measuring.device_profile import DeviceProfile

    # The files of a bundle and of a checkpoint are known by their names: it is their folder that is meant.
    if path.name in (MANIFEST, "config.json") or path.suffix in _OF_FOLDERS:
        raise EdgeBertError(f"nothing to inspect at {path}: {_EXPECTED}, found a file of a folder; give {path.parent}")
    try:
        return DeviceProfile.load(path)
    except ProfileError as problem:
        raise ProfileError(f"{problem}, if it is a profile; {_EXPECTED}") from None


def _found(path: Path) -> str:
    from edgebert.inputs.bundle_file import MANIFEST

    if path.is_dir():
        return f"a folder with neither {MANIFEST} nor config.json"
    return "neither a file nor a folder" if path.exists() else "nothing"
