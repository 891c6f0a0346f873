"""Measure the quality of sub-networks on labelled data."""

import argparse

from edgebert.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "data", metavar="DATA", help=".tsv, .csv or .jsonl with columns text, pair (optional) and label"
    )
    arguments.add_bundle(parser, "--bundle")
    parser.add_argument("--subnets", type=arguments.names, metavar="ID,...", help="only these sub-networks")


def run(options: argparse.Namespace) -> None:
    """Evaluate and print the table."""
    from edgebert.cli.output import print_json, print_table, progress_bar
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.evaluation import evaluate

    bundle = Bundle.load(options.bundle)
    with progress_bar() as show:
        result = evaluate(bundle, options.data, subnets=options.subnets, on_progress=show)
    if options.json:
        print_json(result)
        return
    rows = []
    for one in result.subnetworks:
        first, *others = (f"{value:.4f}" for value in one.metrics.values())
        rows.append([one.id, first, f"{one.ci95[0]:.3f} - {one.ci95[1]:.3f}", *others, f"{one.seconds:.1f}"])
    first, *others = result.subnetworks[0].metrics
    print(f"{result.dataset}: {result.samples} samples\n")
    print_table(rows, ["sub-network", first, "95 % interval", *others, "seconds"], bundle.manifest.methods)
