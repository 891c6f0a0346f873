"""Name the best sub-network that meets a budget on this device, and why the others lost."""

import argparse

from edgebert.cli import arguments
from edgebert.cli.output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    arguments.add_bundle(parser)
    arguments.add_budget(parser)


def run(options: argparse.Namespace) -> None:
    """Select and print the choice; with -v also the reason of every single sub-network and way."""
    from edgebert.choosing.selection import Budget, select
    from edgebert.cli.tables import print_selection
    from edgebert.engines.session import way_filter
    from edgebert.inputs.bundle import Bundle
    from edgebert.reporting.selection_report import selection_report
    from edgebert.serving.parameters import profile_source

    bundle, asked = Bundle.load(options.bundle), way_filter(options.provider, options.threads)
    profile = profile_source(bundle, options.batch_size, asked, options.profile)()
    chosen = select(bundle, profile, arguments.from_options(Budget, options))

    if options.json:
        print_json(chosen)
    else:
        print_selection(selection_report(chosen, bundle, profile), every=options.verbose)
