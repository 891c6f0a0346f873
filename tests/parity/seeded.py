"""Runs a comparison for many seeds, each with a folder of its own, and tells how far it is."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRESS_S = 10.0

# What differs for a seed, in one line; None if nothing does. The folder is empty, and removed afterwards.
Compare = Callable[[int, Path], str | None]


def find_differences(seeds: Sequence[int], compare: Compare, folder: Path) -> dict[int, str]:
    """Return what differs, by seed; a long run prints each on stderr when it is found, and a line of progress."""
    found: dict[int, str] = {}
    start = shown = time.monotonic()
    for done, seed in enumerate(seeds):
        place = folder / str(seed)
        place.mkdir()
        difference = compare(seed, place)
        shutil.rmtree(place)
        if difference is not None:
            found[seed] = difference
            _tell(f"seed {seed}: {difference}")
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            _tell(f"{done + 1} of {len(seeds)} folders in {shown - start:.0f} s, {len(found)} differ")
    return found


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
