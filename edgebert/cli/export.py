"""Turn checkpoints into a bundle: a verified graph for each sub-network and precision, and one weight file."""

import argparse

from edgebert.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    checkpoints = "Hugging Face model folders with the same task, labels and tokenizer; sizes may differ"
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help=checkpoints)
    parser.add_argument("--out", "--bundle", metavar="BUNDLE", required=True, help="the folder to write")
    _add_subnetworks(parser.add_argument_group("sub-networks"))
    _add_task(parser.add_argument_group("task"))
    _add_quality(parser.add_argument_group("quality"))


def _add_subnetworks(group: argparse._ArgumentGroup) -> None:
    widths = "shares of heads and FFN neurons to keep, such as 0.25,0.5,0.75,1.0 (default: those of elastic.json)"
    group.add_argument("--widths", type=arguments.shares, metavar="W,...", help=widths)
    depths = "shares of layers to keep, such as 0.5,0.75,1.0 (default: those of elastic.json)"
    group.add_argument("--depths", type=arguments.shares, metavar="D,...", help=depths)
    precisions = "of int8, int8-static, int8-weights and fp32 (default: int8)"
    group.add_argument("--precisions", type=arguments.names, default=["int8"], metavar="NAME,...", help=precisions)
    calibration = "texts to find the ranges of activations with, which int8-static needs"
    group.add_argument("--calibrate", metavar="DATA", dest="calibration_data", help=calibration)


def _add_task(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--task", metavar="NAME", help="what is answered (default: what config.json says)")
    labels = "names of the labels, in their order (default: those of config.json)"
    group.add_argument("--labels", type=arguments.names, metavar="A,B", help=labels)
    length = "the longest input, in tokens (default: the most that all checkpoints take)"
    group.add_argument("--max-length", type=arguments.count, metavar="N", help=length)
    group.add_argument("--no-pairs", action="store_true", help="leave out what only pairs of texts need")


def _add_quality(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--eval", metavar="DATA", dest="evaluation_data", help="labelled data to measure quality on")
    fidelity = "unlabelled texts: quality is how often a sub-network answers as the full one does"
    group.add_argument("--texts", metavar="FILE", help=fidelity)


def run(options: argparse.Namespace) -> None:
    """Export and print what the bundle holds."""
    from edgebert.cli.output import print_json, progress_bar
    from edgebert.cli.tables import print_bundle
    from edgebert.errors import ExportError

    try:
        from edgebert.exporters.build import export
    except ImportError as problem:
        raise ExportError(f"exporting needs {problem.name}; pip install 'edgebert[export]'") from None
    with progress_bar() as show:
        bundle = export(
            options.checkpoints,
            options.out,
            widths=options.widths,
            depths=options.depths,
            precisions=options.precisions,
            calibration_data=options.calibration_data,
            pairs=not options.no_pairs,
            evaluation_data=options.evaluation_data,
            texts=options.texts,
            task=options.task,
            labels=options.labels,
            max_length=options.max_length,
            on_progress=show,
        )
    print_json(bundle.manifest) if options.json else print_bundle(bundle)
