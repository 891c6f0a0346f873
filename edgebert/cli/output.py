"""How verbs print: JSON or text on standard output, progress on standard error of a terminal."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from edgebert.errors import printable

if TYPE_CHECKING:
    from edgebert.progress import Progress


def print_text(*words: object, end: str = "\n", file: TextIO | None = None) -> None:
    """Print words on a line, as every verb does."""
    print(printable(" ".join(map(str, words))), end=end, file=file)


def print_json(value: Any) -> None:
    """Print a record, or what JSON can hold, as one indented JSON object."""
    import msgspec

    try:
        content = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a path need not be valid Unicode
        content = msgspec.json.encode(_valid(msgspec.to_builtins(value)))
    print_text(msgspec.json.format(content, indent=1).decode())


def _valid(value: Any) -> Any:
    """Return what JSON can hold with escapes for halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_valid(key): _valid(one) for key, one in value.items()}
    return [_valid(one) for one in value] if isinstance(value, list | tuple) else value


def print_table(rows: Sequence[Sequence[object]], headers: Sequence[str], *, words: int = 1) -> None:
    """Print a table with one line for each row; numbers come formatted as text, behind the columns of `words`."""
    from tabulate import tabulate

    # A line feed in a cell, from a label for example, would make a second line of the row.
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    alignment = ["left"] * words + ["right"] * (len(headers) - words) if rows else None
    # tabulate would read numbers anew, and print 0.10 as 0.1 and a name like 1e5 as 100000.
    print_text(tabulate(cells, headers, tablefmt="simple", disable_numparse=True, colalign=alignment))


@contextlib.contextmanager
def progress_bar() -> "Iterator[Progress]":
    """Give a progress listener that draws a bar, on a terminal only."""
    from tqdm import tqdm

    # `disable=None` is tqdm's way to say: where standard error is no terminal.
    with tqdm(file=sys.stderr, disable=None, leave=False) as bar:

        def show(done: int, total: int, subnet_id: str, /) -> None:
            bar.total = total  # not known before the first step
            bar.set_description(printable(subnet_id), refresh=False)
            bar.update(done - bar.n)

        yield show


def megabytes(size_bytes: int) -> str:
    """Return a size in megabytes, as text."""
    return f"{size_bytes / 1e6:.1f} MB"
