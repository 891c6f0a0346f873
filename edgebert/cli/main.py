"""The entry point: runs a verb, and turns errors into one line and an exit status.

Next to nothing is imported before `main` runs, so that Ctrl-C is caught from the beginning.
"""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from edgebert import standard_output
from edgebert.errors import BudgetError, EdgeBertError, cause_of, one_line, printable, shortened

DONE, FAILED, OVER_BUDGET, INTERRUPTED = 0, 1, 3, 130  # 2 is wrong usage: see `parser`


def main(command_line: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's own, and return its exit status.

    Raises:
        SystemExit: wrong usage (status 2), or help was asked for.
    """
    try:
        return _run(command_line)
    finally:
        # Where nobody reads standard error any more, what is left of it would make Python's own status of this one.
        try:
            sys.stderr.flush()
        except OSError:
            _drop(sys.stderr)


def _run(command_line: Sequence[str] | None) -> int:
    """Run a command line and return its exit status."""
    verbose = False
    try:
        # Inside, so that Ctrl-C during the import is caught as well.
        from edgebert.cli.parser import make_parser

        standard_output.reserve()
        _prepare_streams()
        options = make_parser().parse_args(command_line)
        verbose = options.verbose
        _log_to_stderr(verbose=verbose)
        options.run(options)
        # What is still buffered fails here, where it is one line, and not when Python exits, where it is a traceback.
        sys.stdout.flush()
    except BudgetError as problem:
        return _failed(problem, OVER_BUDGET)
    except EdgeBertError as problem:
        return _failed(problem, FAILED)
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        _drop(sys.stdout)
        return DONE
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except MemoryError:
        return _failed("out of memory; close other programs or use a smaller sub-network", FAILED)
    except OSError as problem:  # such as a full disk; files that verbs read and write have errors of their own
        _drop(sys.stdout)
        # Standard output has no name: what has one may as well have been read.
        where = "the place that is written to" if problem.filename is None else str(problem.filename)
        return _failed(f"{cause_of(problem)}; check {where}", FAILED)
    except SystemExit:
        raise
    except BaseException as problem:  # a fault of ours; the panics of libraries in Rust are no Exceptions
        return _unexpected(problem, verbose=verbose)
    return DONE


def _prepare_streams() -> None:
    """Make output work where it is closed, or where the locale has not every character."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    # What stands in its place, a StringIO for example, has no encoding. Standard error has escapes by default.
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Line by line, into a pipe too: who has texts answered as they come reads the answers as they come.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)


def _log_to_stderr(*, verbose: bool) -> None:
    import logging

    class OneLine(logging.Formatter):
        """Formats messages, which may quote a file."""

        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler])
    # The level is that of our own messages: -v is not meant for what the libraries tell.
    logging.getLogger("edgebert").setLevel(logging.INFO if verbose else logging.WARNING)


def _drop(stream: TextIO) -> None:
    """Let what is still to be written to a stream go nowhere, so that Python's exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unexpected(problem: BaseException, *, verbose: bool) -> int:
    """Ask for a report of what no reader or writer has foreseen; -v shows where it was."""
    if verbose:
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exception(problem)
    advice = "this is a fault of edgebert: please report it" + ("" if verbose else " with what -v tells")
    return _failed(f"unexpected {type(problem).__name__}: {shortened(str(problem), 300)}; {advice}", FAILED)


def _failed(problem: object, status: int) -> int:
    # Where nobody reads standard error any more, the status alone tells.
    with contextlib.suppress(OSError):
        print("error:", one_line(str(problem)), file=sys.stderr, flush=True)
    return status
