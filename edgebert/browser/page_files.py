"""The files of the page itself: the modules of edgebert in JavaScript, which the wheel brings along."""

from pathlib import Path

import edgebert
from edgebert.errors import EdgeBertError, cause_of

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
# What runs in Node alone.
_NOT_SERVED = ("cli",)


def kind_of(name: str) -> str:
    """Return the content type of a file, by its name."""
    return _KINDS.get(name[name.rfind(".") :], "application/octet-stream")


def page_files() -> dict[str, bytes]:
    """Return the content of all files that a page may need, by their paths.

    Raises:
        EdgeBertError: they are not installed, or cannot be read.
    """
    folder = _folder()
    try:
        paths = [path for path in folder.rglob("*") if path.suffix in _KINDS and path.is_file()]
        names = {path: path.relative_to(folder) for path in paths}
        found = {name.as_posix(): path.read_bytes() for path, name in names.items() if name.parts[0] not in _NOT_SERVED}
    except OSError as problem:
        raise EdgeBertError(f"cannot read {folder}: {cause_of(problem)}; install edgebert again") from None
    if "page/index.html" not in found:
        raise EdgeBertError(f"expected the files of the page in {folder}, found none; install edgebert again")
    return found


def _folder() -> Path:
    package = Path(edgebert.__file__).parent
    installed = package / "javascript"
    # A checkout has them where the package for npm is made of them too.
    return installed if installed.is_dir() else package.parent / "js" / "src"
