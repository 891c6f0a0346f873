"""The command line: its verbs, and what all of them take."""

import argparse
import sys
from typing import NoReturn

from edgebert.cli import arguments, devices, evaluate, export, inspect, predict, profile, select, train
from edgebert.errors import one_line
from edgebert.version import __version__

# In the order of the work on a device, then what runs on a workstation.
_VERBS = (profile, select, predict, evaluate, inspect, devices, export, train)
_WRONG_USAGE = 2


class VerbParser(argparse.ArgumentParser):
    """A parser whose errors come with its own usage, also for options that it does not know."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse arguments; argparse would leave unknown ones to the parent, which prints the usage of all verbs."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        self.print_usage(sys.stderr)
        self.exit(_WRONG_USAGE, f"{self.prog}: error: {one_line(message)}\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; what it parses holds the verb's `run`, which takes the rest."""
    description = "Runs one elastic BERT well on every device: profile a bundle, select within a budget, predict."
    parser = VerbParser(prog="edgebert", description=description)
    parser.add_argument("--version", action="version", version=f"edgebert {__version__}")
    parser.set_defaults(json=False, verbose=False)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in _VERBS:
        # A verb is its module: the name, the first line of the docstring as its help, and two functions.
        summary = (verb.__doc__ or "").strip().split("\n")[0]
        verb_parser = verbs.add_parser(verb.__name__.rpartition(".")[2], help=summary, description=summary)
        verb.add_arguments(verb_parser)
        arguments.add_output(verb_parser)
        verb_parser.set_defaults(run=verb.run, usage_error=verb_parser.error)
    return parser
