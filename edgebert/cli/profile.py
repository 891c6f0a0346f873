"""Measure what every sub-network of a bundle costs on this device."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.cli import arguments

if TYPE_CHECKING:
    from edgebert.bundle import Bundle
    from edgebert.device_profile import DeviceProfile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser)
    parser.add_argument("--out", metavar="FILE", help="write the profile here as well as to the cache")
    parser.add_argument("--lengths", type=arguments.counts, help="tokens (default: 16,64,128 and the longest input)")
    parser.add_argument("--batch-sizes", type=arguments.counts, default=[1], help="default: 1")
    parser.add_argument("--threads", type=arguments.count, metavar="N", help="default: the physical cores")
    parser.add_argument("--provider", metavar="NAME", help="an ONNX Runtime execution provider (default: the CPU's)")
    parser.add_argument("--subnets", type=arguments.names, metavar="ID,...", help="only these sub-networks")
    parser.add_argument("--quick", action="store_true", help="about 5 s in one round instead of 45 s in three")


def run(options: argparse.Namespace) -> None:
    """Profile and print the table."""
    from edgebert.bundle import Bundle
    from edgebert.cli.output import print_json, progress_bar
    from edgebert.errors import ProfileError
    from edgebert.profiler import profile
    from edgebert.records import check_writable
    from edgebert.subnet import CPU

    bundle = Bundle.load(options.bundle)
    if options.out:
        check_writable(Path(options.out), ProfileError)
    with progress_bar() as show:
        found = profile(
            bundle,
            lengths=options.lengths,
            batch_sizes=options.batch_sizes,
            threads=options.threads,
            provider=options.provider or CPU,
            subnets=options.subnets,
            quick=options.quick,
            on_progress=show,
        )
    if options.out:
        found.save(options.out)
    print_json(found) if options.json else print_profile(found, bundle)


def print_profile(found: "DeviceProfile", bundle: "Bundle | None") -> None:
    """Print a profile as a table, with accuracies and the Pareto front where its bundle is at hand."""
    from edgebert.cli.output import print_table
    from edgebert.selection import pareto_front

    settings, batch_size = found.settings, min(found.settings.batch_sizes)
    accuracies = {}
    if bundle is not None:
        accuracies = {s.id: s.accuracy.value for s in bundle.manifest.subnetworks if s.accuracy is not None}
    rows, points = [], []
    for entry in found.subnetworks:
        latencies = [row for row in entry.latency if row.batch_size == batch_size] or list(entry.latency)
        if entry.id in accuracies and entry.numerics_ok:
            points.append((entry.id, accuracies[entry.id], latencies[-1].p95_ms))
        rows.append(
            [
                entry.id,
                f"{accuracies[entry.id]:.3f}" if entry.id in accuracies else "-",
                *(f"{row.p50_ms:.2f} / {row.p95_ms:.2f}" for row in latencies),
                f"{entry.load_ms:.0f}",
                f"{entry.peak_memory_mb:.0f}",
                "yes" if entry.numerics_ok else "WRONG",
            ]
        )
    front = pareto_front(points)
    rows = [[*row, "*" if row[0] in front else ""] for row in rows]
    shapes = [f"{length} tokens" for length in settings.lengths]
    print(f"{found.device}; ONNX Runtime {found.onnxruntime_version}, {settings.provider}, {settings.threads} threads")
    print(f"batch {batch_size}, p50 / p95 in ms; * is on the Pareto front of accuracy against p95 at the last length\n")
    print_table(rows, ["sub-network", "accuracy", *shapes, "load ms", "peak MB", "numerics", "front"])
    if found.stability.rounds > 1:
        drift = f"{found.stability.median_drift:.2f}x in the median, {found.stability.worst_drift:.2f}x at worst"
        print(f"\nthe medians of the {found.stability.rounds} rounds differ by {drift}")
