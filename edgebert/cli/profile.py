"""Measure what every sub-network of a bundle costs on this device."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments, profile_page
from edgebert.cli.arguments import add, from_options
from edgebert.cli.output import print_json, progress_bar
from edgebert.errors import ProfileError

if TYPE_CHECKING:
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser)
    add(parser, "--out", str, "FILE", "write the profile there too (it is always kept in the cache)")
    lengths = (
        "tokens of your inputs; some engines have a network for each (default: 16,64,128 and the longest there is)"
    )
    add(parser, "--lengths", arguments.counts, "L,...", lengths)
    add(
        parser,
        "--batch-sizes",
        arguments.counts,
        "B,...",
        "texts in a request (default: 1, for cuda 1,8,32)",
    )
    add(parser, "--threads", arguments.count, "N", "default: one, half the cores and all")
    arguments.add_provider(parser, "all")
    add(parser, "--engines", arguments.names, "NAME,...", "several of these (`edgebert devices` lists them)")
    add(parser, "--subnets", arguments.names, "ID,...", "only these sub-networks")
    parser.add_argument("--quick", action="store_true", help="about 5 s: one round, on the CPU, with all cores")
    pace = "requests a second, as the app sends them (default: one after the other)"
    add(parser, "--requests-per-s", arguments.positive, "N", pace)
    add(parser, "--emulate", arguments.limits, "cpus=N,memory-mb=M", "imitate a smaller machine")
    add(parser, "--host", str, "USER@DEVICE", "measure there, over ssh, and bring the profile back")
    add(parser, "--host-command", str, "COMMAND", "what runs edgebert on the host", "edgebert")
    profile_page.add_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Profile and print the table."""
    from edgebert.cli.tables import print_profile
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.records import check_writable
    from edgebert.reporting.profile_report import profile_report

    profile_page.check(options)
    bundle = Bundle.load(options.bundle)
    out = Path(options.out) if options.out else None
    earlier = None
    # Before the measuring, which takes minutes: a place that cannot be written and a damaged file are told at once.
    if out is not None:
        check_writable(out, ProfileError)
    if options.browser:
        profile_page.run(options, bundle)
        return
    # Some sub-networks or ways are added to what the file holds; else it is written anew.
    if out is not None and out.exists() and _names_some(options):
        earlier = DeviceProfile.load(out)
        earlier.check_runtime(out)
    # An empty host is refused there: a variable that is not set must not measure this machine instead.
    found = _profile_here(bundle, options) if options.host is None else _profile_elsewhere(bundle, options)
    if earlier is not None:
        found = earlier.merged(found)
    if out is not None:
        found.save(out)
    print_json(found) if options.json else print_profile(profile_report(found, bundle))


def _names_some(options: argparse.Namespace) -> bool:
    """Return whether options name some sub-networks or ways."""
    return bool(options.subnets or options.provider or options.engines or options.threads)


def _profile_here(bundle: "Bundle", options: argparse.Namespace) -> "DeviceProfile":
    from edgebert.measuring.profiler import profile

    with progress_bar() as show:
        return from_options(profile, options, bundle=bundle, on_progress=show)


def _profile_elsewhere(bundle: "Bundle", options: argparse.Namespace) -> "DeviceProfile":
    """Profile on the host, with the same options."""
    from edgebert.measuring.remote import profile_on

    # What is not given is not passed on either: the defaults are those of the version on the host.
    given = ["--quick"] if options.quick else []
    for name in ("lengths", "batch_sizes", "threads", "provider", "engines", "subnets", "requests_per_s", "emulate"):
        value = getattr(options, name)
        if name == "emulate" and value:
            value = arguments.limits_as_text(value)
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            given.append(f"--{name.replace('_', '-')}={text}")
    return profile_on(options.host, bundle, given, command=options.host_command)
