"""Name the best sub-network that meets a budget on this device, and why the others lost."""

import argparse

from edgebert.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser)
    arguments.add_budget(parser)
    parser.add_argument("--percentile", type=arguments.percentile, default=95, help="of the latency (default: 95)")
    parser.add_argument("--length", type=arguments.count, metavar="L", help="tokens (default: the longest input)")
    parser.add_argument("--batch-size", type=arguments.count, default=1, metavar="B", help="default: 1")
    parser.add_argument("--tolerance", type=arguments.share, default=0.0, help="quality to give up for speed (0.005)")
    parser.add_argument("--provider", metavar="NAME", help="only this ONNX Runtime execution provider")
    parser.add_argument("--threads", type=arguments.count, metavar="N", help="only this number of threads")


def run(options: argparse.Namespace) -> None:
    """Select and print the choice."""
    from edgebert.choosing.selection import Budget, select
    from edgebert.cli.output import print_json, print_table
    from edgebert.engines.session import way_filter
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.measuring.profiler import check_profile, profile_of

    bundle, asked = Bundle.load(options.bundle), way_filter(options.provider, options.threads)
    budget = Budget(
        latency_ms=options.latency_ms,
        memory_mb=options.memory_mb,
        percentile=options.percentile,
        length=options.length,
        batch_size=options.batch_size,
        tolerance=options.tolerance,
    )
    if options.profile:
        profile = check_profile(DeviceProfile.load(options.profile), bundle)
    else:
        profile = profile_of(bundle, batch_size=budget.batch_size, asked=asked)
    chosen = select(bundle, profile.narrowed(asked), budget)
    if options.json:
        print_json(chosen)
        return
    methods = bundle.manifest.methods
    by = f" ({chosen.method})" if len(set(methods.values())) > 1 else ""
    print(f"{chosen.subnetwork}{by} is the best within {chosen.budget}")
    cost = f"{chosen.predicted_ms:.2f} ms, {chosen.peak_memory_mb:.0f} MB"
    quality = "unknown quality" if chosen.quality is None else f"{bundle.manifest.metric} {chosen.quality:.3f}"
    print(f"{quality}, {cost}, {chosen.way}\n")
    rows = [[lost.subnetwork, str(lost.way), lost.reason] for lost in chosen.rejected]
    print_table(rows, ["rejected", "run by", "reason"], methods)
