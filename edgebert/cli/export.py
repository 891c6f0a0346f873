"""Turn checkpoints into a bundle: a verified graph for each sub-network and precision, and one weight file."""

import argparse

from edgebert.cli.arguments import add, count, counts, from_options, names, shares
from edgebert.cli.output import print_json, progress_bar
from edgebert.errors import needing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    checkpoints = "Hugging Face model folders with the same task, labels and tokenizer; sizes may differ"
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help=checkpoints)
    parser.add_argument("--out", "--bundle", metavar="BUNDLE", required=True, help="the folder to write")

    group = parser.add_argument_group("sub-networks")
    widths = "shares of heads and FFN neurons to keep, such as 0.25,0.5,0.75,1.0 (default: those of elastic.json)"
    add(group, "--widths", shares, "W,...", widths)
    depths = "shares of layers to keep, such as 0.5,0.75,1.0 (default: those of elastic.json)"
    add(group, "--depths", shares, "D,...", depths)
    precisions = "of int8, int8-static, int8-weights, fp16 and fp32 (default: int8)"
    add(group, "--precisions", names, "NAME,...", precisions)
    reduced = "int8 weights of 7 bits, faster on x86 processors without VNNI and less exact on all"
    group.add_argument("--reduce-range", action="store_true", help=reduced)
    add(group, "--calibrate", str, "DATA", "texts to find the ranges of activations with, which int8-static needs")

    group = parser.add_argument_group("task")
    add(group, "--task", str, "NAME", "what is answered (default: what config.json says)")
    add(group, "--labels", names, "A,B", "names of the labels, in their order (default: those of config.json)")
    dims = (
        "numbers of dimensions that embeddings may be cut to, if they were trained for that (default: elastic.json's)"
    )
    add(group, "--dims", counts, "N,...", dims)
    longest = "the longest input, in tokens (default: the tokenizer's model_max_length, else all positions)"
    add(group, "--max-length", count, "N", longest)
    no_pairs = "leave out what only pairs of texts need"
    group.add_argument("--no-pairs", dest="pairs", action="store_false", help=no_pairs)

    group = parser.add_argument_group("quality")
    add(group, "--eval", str, "DATA", "labelled data to measure quality on")
    fidelity = "unlabelled texts: quality is how often a sub-network answers as the full one does"
    add(group, "--texts", str, "FILE", fidelity)


def run(options: argparse.Namespace) -> None:
    """Export and print what the bundle holds."""
    from edgebert.cli.tables import print_bundle

    with needing("export", "exporting"):
        from edgebert.exporters.build import export
    data = {"calibration_data": options.calibrate, "evaluation_data": options.eval}
    with progress_bar() as show:
        bundle = from_options(export, options, checkpoint=options.checkpoints, **data, on_progress=show)
    if options.json:
        print_json(bundle.manifest)
    else:
        print_bundle(bundle)
