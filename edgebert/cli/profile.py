"""Measure what every sub-network of a bundle costs on this device."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments

if TYPE_CHECKING:
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser)
    parser.add_argument("--out", metavar="FILE", help="write the profile here as well as to the cache")
    parser.add_argument("--lengths", type=arguments.counts, help="tokens (default: 16,64,128 and the longest input)")
    parser.add_argument("--batch-sizes", type=arguments.counts, default=[1], help="default: 1")
    parser.add_argument("--threads", type=arguments.count, metavar="N", help="default: one, half the cores and all")
    parser.add_argument(
        "--provider", metavar="NAME", help="an ONNX Runtime execution provider (default: all there are)"
    )
    parser.add_argument("--subnets", type=arguments.names, metavar="ID,...", help="only these sub-networks")
    parser.add_argument("--quick", action="store_true", help="about 5 s: one round, the CPU's provider, all its cores")
    parser.add_argument("--requests-per-s", type=arguments.positive, metavar="N", help="default: back to back")
    parser.add_argument("--emulate", type=arguments.limits, metavar="cpus=N,memory-mb=M", help="a smaller machine")
    parser.add_argument("--host", metavar="USER@DEVICE", help="measure there, over ssh, and bring the profile back")
    parser.add_argument("--host-command", default="edgebert", metavar="COMMAND", help="what runs edgebert on the host")


def run(options: argparse.Namespace) -> None:
    """Profile and print the table."""
    from edgebert.cli.output import print_json
    from edgebert.errors import ProfileError
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.records import check_writable

    bundle = Bundle.load(options.bundle)
    out = Path(options.out) if options.out else None
    earlier = None
    if out is not None:
        check_writable(out, ProfileError)
        # Some sub-networks or ways are added to what the file holds; else it is written anew.
        if out.exists() and (options.subnets or options.provider or options.threads):
            earlier = DeviceProfile.load(out)
    # An empty host is refused there: a variable that is not set must not measure this machine instead.
    found = _profile_here(bundle, options) if options.host is None else _profile_elsewhere(bundle, options)
    if earlier is not None:
        found = earlier.merged(found)
    if out is not None:
        found.save(out)
    print_json(found) if options.json else print_profile(found, bundle)


def _profile_here(bundle: "Bundle", options: argparse.Namespace) -> "DeviceProfile":
    from edgebert.cli.output import progress_bar
    from edgebert.measuring.profiler import profile

    with progress_bar() as show:
        return profile(
            bundle,
            lengths=options.lengths,
            batch_sizes=options.batch_sizes,
            threads=options.threads,
            provider=options.provider,
            subnets=options.subnets,
            quick=options.quick,
            requests_per_s=options.requests_per_s,
            emulate=options.emulate,
            on_progress=show,
        )


def _profile_elsewhere(bundle: "Bundle", options: argparse.Namespace) -> "DeviceProfile":
    """Profile on the host, with the same options."""
    from edgebert.measuring.remote import profile_on

    words = {
        "--lengths": options.lengths and ",".join(map(str, options.lengths)),
        "--batch-sizes": ",".join(map(str, options.batch_sizes)),
        "--threads": options.threads,
        "--provider": options.provider,
        "--subnets": options.subnets and ",".join(options.subnets),
        "--requests-per-s": options.requests_per_s,
        "--emulate": options.emulate and arguments.limits_as_text(options.emulate),
    }
    given = [word for name, value in words.items() if value is not None for word in (name, str(value))]
    return profile_on(
        options.host, bundle, [*given, *(["--quick"] if options.quick else [])], command=options.host_command
    )


def print_profile(found: "DeviceProfile", bundle: "Bundle | None") -> None:
    """Print a profile as a table, with qualities and the Pareto front where its bundle is at hand."""
    from edgebert.choosing.selection import pareto_front
    from edgebert.cli.output import print_table

    settings, batch_size = found.settings, min(found.settings.batch_sizes)
    qualities, metric = {}, "quality"
    if bundle is not None:
        qualities, metric = bundle.manifest.qualities, bundle.manifest.metric or metric
    rows, points = [], []
    for entry in found.subnetworks:
        latencies = [row for row in entry.latency if row.batch_size == batch_size] or list(entry.latency)
        if entry.id in qualities and entry.numerics_ok:
            points.append((entry.key, qualities[entry.id], latencies[-1].p95_ms))
        rows.append(
            [
                entry.id,
                str(entry.way),
                f"{qualities[entry.id]:.3f}" if entry.id in qualities else "-",
                *(f"{row.p50_ms:.2f} / {row.p95_ms:.2f}" for row in latencies),
                f"{entry.load_ms:.0f}",
                f"{entry.peak_memory_mb:.0f}",
                "yes" if entry.numerics_ok else "WRONG",
            ]
        )
    front = pareto_front(points)
    rows = [[*row, "*" if entry.key in front else ""] for row, entry in zip(rows, found.subnetworks, strict=True)]
    shapes = [f"{length} tokens" for length in settings.lengths]
    print(f"{found.device}; {', '.join(found.engine_versions.values())}{_circumstances(settings)}")
    print(f"batch {batch_size}, p50 / p95 in ms; * is on the Pareto front of {metric} against p95 at the last length\n")
    headers = ["sub-network", "run by", metric, *shapes, "load ms", "peak MB", "numerics", "front"]
    print_table(rows, headers, bundle.manifest.methods if bundle else None)
    _print_doubts(found)


def _circumstances(settings: "Settings") -> str:
    """Return what is unusual about how a profile was measured."""
    pace = f"; {settings.requests_per_s:g} requests a second" if settings.requests_per_s else ""
    return pace + (f"; EMULATED, limited to {settings.emulated}" if settings.emulated else "")


def _print_doubts(found: "DeviceProfile") -> None:
    """Print what was left out, what is wrong, and how far to trust the rest."""
    stability = found.stability
    for entry in found.subnetworks:
        if not entry.numerics_ok:
            print(f"\nWRONG: {entry.id} ({entry.way}) is never selected: {entry.numerics}")
    for way, reason in dict.fromkeys((one.key[1], one.reason) for one in found.left_out):
        ids = [one.id for one in found.left_out if (one.key[1], one.reason) == (way, reason)]
        many = f"{len(ids)} sub-networks from {ids[0]} on" if len(ids) > 1 else ids[0]
        print(f"\nleft out: {many} ({way}): {reason}")
    if stability.rounds > 1:
        drift = f"{stability.median_drift:.2f}x in the median, {stability.worst_drift:.2f}x at worst"
        machine = f"the machine by {stability.canary_drift:.2f}x"
        print(f"\nthe medians of the {stability.rounds} rounds differ by {drift}; {machine}")
    if stability.rounds > 1 and stability.unsettled:
        share = f"{found.settings.interval_share:.0%}"
        print(f"in the time given, {len(stability.unsettled)} entries have a median that is not known to {share}")
    if stability.warning:
        print(f"UNSTABLE: {stability.warning}")
