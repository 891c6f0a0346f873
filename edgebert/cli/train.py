"""Make a checkpoint for the device from any BERT-like one and a data file, with a method of the field."""

import argparse

from edgebert.cli import arguments, train_bort, train_dynabert, train_early_bird, train_layer_drop
from edgebert.errors import needing

_METHODS = (train_dynabert, train_layer_drop, train_early_bird, train_bort)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for each method, named as its file is."""
    methods = parser.add_subparsers(title="methods", metavar="METHOD", required=True)
    for method in _METHODS:
        name = method.__name__.rpartition("train_")[2].replace("_", "-")
        summary = (method.__doc__ or "").strip()
        added = methods.add_parser(name, help=summary, description=summary)
        method.add_arguments(added)
        arguments.add_output(added)
        added.set_defaults(train_method=method.run, usage_error=added.error)


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    # Around all of it: a method imports what it needs where it needs it, ONNX for measuring for example.
    with needing("train", "training"):
        _check_data(options)
        options.train_method(options)


def _check_data(options: argparse.Namespace) -> None:
    if not getattr(options, "texts", None) and not (options.train and options.dev):
        options.usage_error("expected --train and --dev, or --texts, found neither")
