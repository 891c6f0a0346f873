"""The entry point: reads the command line, runs a verb, and turns errors into one line and an exit status."""

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence

from edgebert.cli import devices, evaluate, export, inspect, predict, profile, select, train
from edgebert.errors import BudgetError, EdgeBertError
from edgebert.version import __version__

_VERBS = (profile, select, predict, evaluate, inspect, devices, export, train)
DONE, FAILED, OVER_BUDGET, INTERRUPTED = 0, 1, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's own, and return its exit status."""
    _prepare_streams()
    try:
        options = _parser().parse_args(arguments)
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
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


def _prepare_streams() -> None:
    """Make output work where it is closed, or where the locale has not every character."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is still to be written to standard output go nowhere, so that Python's exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(problem: object, status: int) -> int:
    print("error:", " ".join(str(problem).split()), file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    description = "Runs one elastic BERT well on every device: profile a bundle, select within a budget, predict."
    parser = argparse.ArgumentParser(prog="edgebert", description=description)
    parser.add_argument("--version", action="version", version=f"edgebert {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in _VERBS:
        summary = (verb.__doc__ or "").strip().split("\n")[0]
        verb_parser = verbs.add_parser(verb.__name__.rpartition(".")[2], help=summary, description=summary)
        verb.add_arguments(verb_parser)
        verb_parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        verb_parser.set_defaults(run=verb.run)
    return parser
