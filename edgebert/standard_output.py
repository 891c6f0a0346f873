"""Keeps standard output for what this program prints: JSON with a library's notice in it is none."""

import contextlib
import io
import os
import sys

_OUTPUT, _ERRORS = 1, 2


def reserve() -> None:
    """Have `sys.stdout` write where it does, and what libraries write to the descriptor go to standard error."""
    # Standard output that was closed, or that a caller has replaced, has another descriptor or none.
    with contextlib.suppress(AttributeError, OSError, ValueError, io.UnsupportedOperation):
        if sys.stdout.fileno() == _OUTPUT:
            sys.stdout.flush()
            own = os.dup(_OUTPUT)
            os.dup2(_ERRORS, _OUTPUT)
            sys.stdout = open(own, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115
