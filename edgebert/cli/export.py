"""Turn checkpoints into a bundle: a verified graph for each sub-network and precision, and one weight file."""

import argparse

from edgebert.cli import arguments

CHECKPOINTS = "Hugging Face model folders of one task, with the same labels and tokenizer; sizes may differ"
_GRID = "(default: those of elastic.json; a checkpoint whose elastic.json lists slices has these alone)"
PRECISIONS = "of int8, int8-static, int8-weights and fp32 (default: int8)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help=CHECKPOINTS)
    parser.add_argument("--out", metavar="BUNDLE", required=True, help="the folder to write")
    parser.add_argument("--widths", type=arguments.shares, help=f"0.25,0.5,0.75,1.0 {_GRID}")
    parser.add_argument("--depths", type=arguments.shares, help=f"0.5,0.75,1.0 {_GRID}")
    parser.add_argument("--precisions", type=arguments.names, default=["int8"], metavar="NAMES", help=PRECISIONS)
    parser.add_argument("--calibrate", metavar="DATA", dest="calibration_data", help="texts that int8-static needs")
    parser.add_argument("--eval", metavar="DATA", dest="evaluation_data", help="labelled data to measure quality on")
    parser.add_argument("--texts", metavar="DATA", help="texts without labels, to measure fidelity on instead")
    parser.add_argument("--task", metavar="NAME", help="what it answers (default: as its config.json says)")
    parser.add_argument("--no-pairs", action="store_true", help="texts alone: leave out what only pairs need")
    parser.add_argument("--labels", type=arguments.names, metavar="A,B", help="names of the labels, in their order")
    parser.add_argument(
        "--max-length", type=arguments.count, metavar="N", help="tokens (default: the most that all models take)"
    )


def run(options: argparse.Namespace) -> None:
    """Export and print what the bundle holds."""
    from edgebert.cli.inspect import print_bundle
    from edgebert.cli.output import print_json, progress_bar
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
