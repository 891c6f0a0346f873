"""Puts a folder in its place only when it is finished: what stood there is untouched until then."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgebert.errors import ExportError
from edgebert.inputs.bundle import MANIFEST


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into, and put it in the place of `out` at the end; remove it on any error."""
    if out.exists() and not (out / MANIFEST).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ExportError(f"{out} exists and is no bundle; choose another --out or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as problem:
        raise ExportError(f"cannot write to {out.parent}: {problem.strerror}; choose another --out") from None
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it private to this user
        _replace(out, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(out: Path, folder: Path) -> None:
    """Put `folder` in the place of `out`; what stood there is put back if that fails."""
    old = folder.with_name(f"{folder.name}.old")
    try:
        if out.exists():
            os.rename(out, old)
        try:
            os.rename(folder, out)
        except OSError:
            if old.exists():
                os.rename(old, out)
            raise
    except OSError as problem:
        raise ExportError(f"cannot put the bundle at {out}: {problem.strerror}; choose another --out") from None
    shutil.rmtree(old, ignore_errors=True)
