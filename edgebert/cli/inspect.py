"""Show what a bundle, a checkpoint or a profile holds, or several profiles side by side."""

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
    several = "more profiles, to be shown beside the first, or a bundle's with its qualities"
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help=several)
    length = "tokens of the inputs that several profiles are compared by (default: the longest that all have)"
    arguments.add(parser, "--length", arguments.count, "L", length)


def run(options: argparse.Namespace) -> None:
    """Find out what stands at the path and print it."""
    from edgebert.cli import tables
    from edgebert.inputs.bundle import BUILTIN, Bundle

    path = Path(options.bundle or BUILTIN)
    if options.profiles:
        _print_profiles(path, options)
    elif options.length is not None:
        options.usage_error("expected several profiles to compare by --length, found one path")
    elif _is_bundle(path):
        bundle = Bundle.load(path)
        print_json(bundle.manifest) if options.json else tables.print_bundle(bundle)
    elif (path / "config.json").is_file():
        with needing("export", "inspecting a checkpoint"):
            from edgebert.exporters.summary import describe
        facts = describe(path)
        print_json(facts) if options.json else tables.print_checkpoint(path, facts)
    elif path.is_file():
        _print_profiles(path, options)
    else:
        raise EdgeBertError(f"nothing to inspect at {path}: {_EXPECTED}, found {_found(path)}; check the path")


def _is_bundle(path: Path) -> bool:
    from edgebert.inputs.bundle_file import MANIFEST

    # By the files in it, not by its name: what is damaged is then refused by its own reader, with the reason.
    return (path / MANIFEST).is_file()


def _print_profiles(path: Path, options: argparse.Namespace) -> None:
    """Print a profile, or several side by side, with the qualities of their bundle if that is given."""
    from edgebert.cli import tables
    from edgebert.inputs.bundle import Bundle
    from edgebert.reporting.comparison_report import comparison_of
    from edgebert.reporting.profile_report import profile_report

    bundle = Bundle.load(path) if _is_bundle(path) else None
    files = map(Path, options.profiles if bundle else [path, *options.profiles])
    found = [(str(file), _read_profile(file)) for file in files]
    if bundle is None:
        # Else only of the built-in bundle are qualities at hand.
        builtin = Bundle.load()
        bundle = builtin if all(profile.bundle_sha256 == builtin.sha256 for _, profile in found) else None
    else:
        for name, profile in found:
            profile.check_fits(bundle, name)

    if len(found) > 1:
        comparison = comparison_of(found, bundle, length=options.length)
        print_json(comparison) if options.json else tables.print_comparison(comparison)
    else:
        ((_, profile),) = found
        print_json(profile) if options.json else tables.print_profile(profile_report(profile, bundle))


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
