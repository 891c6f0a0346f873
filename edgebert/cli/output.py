"""What verbs print: JSON or tables on standard output, progress on standard error of a terminal."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from tabulate import tabulate
from tqdm import tqdm

from edgebert.progress import Progress


def print_json(value: Any) -> None:
    """Print a record, or what JSON can hold, as one indented JSON object."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def print_table(
    rows: Sequence[Sequence[object]], headers: Sequence[str], methods: Mapping[str, str] | None = None
) -> None:
    """Print a table with one line for each row; numbers come formatted as text.

    Given the methods of a bundle's sub-networks, whose ids the first column holds, there is a column for them where
    they differ.
    """
    if methods and len(set(methods.values())) > 1:
        headers = [headers[0], "method", *headers[1:]]
        rows = [[row[0], methods.get(str(row[0]), "-"), *row[1:]] for row in rows]
    alignment = ["left", *["right"] * (len(headers) - 1)]
    print(tabulate(rows, headers, tablefmt="simple", disable_numparse=True, colalign=alignment if rows else None))


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Give a progress listener that draws a bar, on a terminal only."""
    with tqdm(file=sys.stderr, disable=None, leave=False) as bar:

        def show(done: int, total: int, subnet_id: str, /) -> None:
            bar.total = total
            bar.set_description(subnet_id, refresh=False)
            bar.update(done - bar.n)

        yield show


def megabytes(size_bytes: int) -> str:
    """Return a size in megabytes, as text."""
    return f"{size_bytes / 1e6:.1f} MB"
