"""The entry point: reads the command line, runs a verb, and turns errors into one line and an exit status.

Only what is light is imported before `main` runs, so that help is quick and Ctrl-C is caught from the beginning.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from edgebert.cli import arguments, devices, evaluate, export, inspect, predict, profile, select, train
from edgebert.cli.output import print_text, printable
from edgebert.errors import BudgetError, EdgeBertError
from edgebert.version import __version__

_VERBS = (profile, select, predict, evaluate, inspect, devices, export, train)
DONE, FAILED, WRONG_USAGE, OVER_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130


def main(command_line: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's own, and return its exit status.

    Raises:
        SystemExit: wrong usage (status 2), or help was asked for.
    """
    try:
        _prepare_streams()
        options = _parser().parse_args(command_line)
        _log_to_stderr(verbose=options.verbose)
        options.run(options)
        sys.stdout.flush()
    except BudgetError as problem:
        return _failed(problem, OVER_BUDGET)
    except EdgeBertError as problem:
        return _failed(problem, FAILED)
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        _drop_output()
        return DONE
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except MemoryError:
        return _failed("out of memory; close other programs or use a smaller sub-network", FAILED)
    except OSError as problem:
        _drop_output()
        return _failed(f"{problem.strerror or problem}; check the place that is written to", FAILED)
    return DONE


class _Parser(argparse.ArgumentParser):
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
        self.exit(WRONG_USAGE, f"{self.prog}: error: {printable(message)}\n")


def _parser() -> argparse.ArgumentParser:
    description = "Runs one elastic BERT well on every device: profile a bundle, select within a budget, predict."
    parser = _Parser(prog="edgebert", description=description)
    parser.add_argument("--version", action="version", version=f"edgebert {__version__}")
    parser.set_defaults(json=False, verbose=False)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in _VERBS:
        summary = (verb.__doc__ or "").strip().split("\n")[0]
        verb_parser = verbs.add_parser(verb.__name__.rpartition(".")[2], help=summary, description=summary)
        verb.add_arguments(verb_parser)
        arguments.add_output(verb_parser)
        verb_parser.set_defaults(run=verb.run, usage_error=verb_parser.error)
    return parser


def _prepare_streams() -> None:
    """Make output work where it is closed, or where the locale has not every character."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _log_to_stderr(*, verbose: bool) -> None:
    import logging

    class OneLine(logging.Formatter):
        """Formats messages, which may quote a file."""

        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("edgebert").setLevel(logging.INFO if verbose else logging.WARNING)


def _drop_output() -> None:
    """Let what is still to be written to standard output go nowhere, so that Python's exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(problem: object, status: int) -> int:
    print_text("error:", " ".join(str(problem).split()), file=sys.stderr)
    return status
