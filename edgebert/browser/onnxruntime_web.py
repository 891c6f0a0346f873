"""Finds the files of onnxruntime-web, which run networks in a page: in a folder, or by the npm client."""

import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import platformdirs

from edgebert.errors import EdgeBertError, cause_of
from edgebert.records import write_bytes

logger = logging.getLogger(__name__)

VERSION = "1.30.0"
MODULE = "ort.wasm.min.mjs"
# Those that networks on the processor need, of that version, and their SHA-256.
HASHES = {
    MODULE: "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}

_PACKAGE = f"onnxruntime-web@{VERSION}"
_MOST_BYTES = 1 << 26
_NPM_MAY_TAKE_S = 600


def onnxruntime_web(folder: Path | None = None) -> dict[str, bytes]:
    """Return the content of onnxruntime-web's files, by their names.

    They are those in a folder, of whichever version; without one those of the pinned version, which npm downloads once.

    Raises:
        EdgeBertError: they are not there, or not those that were expected.
    """
    if folder is not None:
        # The package's own folder is as good as the one in it.
        within = folder / "dist" if (folder / "dist").is_dir() else folder
        return {name: _read(within / name) for name in HASHES}
    kept = _kept_in()
    found = _kept(kept) if kept else None
    if found is None:
        found = _downloaded()
        if kept is not None:
            _keep(found, kept)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as problem:
        what = f"expected onnxruntime-web's {path.name} in {path.parent}: {cause_of(problem)}"
        raise EdgeBertError(f"{what}; give the folder 'dist' of the package with --ort-web") from None
    if len(content) > _MOST_BYTES:
        raise EdgeBertError(f"{path}: expected at most {_MOST_BYTES} bytes, found more; give another --ort-web")
    return content


def _kept_in() -> Path | None:
    """Return where the files are kept; None where there is no home folder to have a place in."""
    try:
        folder = Path(platformdirs.user_cache_dir("edgebert", appauthor=False))
    except RuntimeError:
        return None
    return folder / f"onnxruntime-web-{VERSION}" if folder.is_absolute() else None


def _kept(folder: Path) -> dict[str, bytes] | None:
    """Return what was downloaded before, None if that is not whole."""
    try:
        return _checked({name: _read(folder / name) for name in HASHES})
    except EdgeBertError:
        return None


def _checked(found: dict[str, bytes]) -> dict[str, bytes]:
    """Return files, if they are the pinned ones."""
    for name, content in found.items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != HASHES[name]:
            hashes = f"expected sha256 {HASHES[name][:12]}..., found {digest[:12]}..."
            raise EdgeBertError(f"{name} of {_PACKAGE} is not what was pinned: {hashes}; give another with --ort-web")
    return found


def _keep(found: dict[str, bytes], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            write_bytes(folder / name, content, EdgeBertError)
    except (OSError, EdgeBertError) as problem:
        logger.info("onnxruntime-web is downloaded again the next time: %s", problem)


def _downloaded() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        advice = "install npm, or unpack the package and give its folder with --ort-web"
        raise EdgeBertError(f"a page needs {_PACKAGE}, and there is no npm here to download it; {advice}")
    logger.warning("downloading %s by npm, once", _PACKAGE)
    with tempfile.TemporaryDirectory() as folder:
        return _checked(_unpacked(_packed(npm, Path(folder))))


def _packed(npm: str, folder: Path) -> Path:
    """Return npm's archive of the package, downloaded into a folder."""
    command = [npm, "pack", _PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    advice = "see what `npm view onnxruntime-web` says, or give a folder with --ort-web"
    try:
        # In that folder: no package.json of the user's is in the way.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_NPM_MAY_TAKE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise EdgeBertError(f"npm could not download {_PACKAGE}: {cause_of(problem)}; {advice}") from None
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        reason = done.stderr.strip().partition("\n")[0] or "no reason given"
        raise EdgeBertError(f"npm could not download {_PACKAGE}: {reason}; {advice}")
    return archives[0]


def _unpacked(archive: Path) -> dict[str, bytes]:
    """Return the files that are needed; nothing is written under a name that the archive says."""
    found = {}
    try:
        with tarfile.open(archive, "r:gz") as files:
            for name in HASHES:
                member = files.extractfile(f"package/dist/{name}")
                if member is not None:
                    found[name] = member.read(_MOST_BYTES)
    except (KeyError, OSError, EOFError, tarfile.TarError) as problem:
        raise EdgeBertError(f"{_PACKAGE}: {cause_of(problem)}; give another with --ort-web") from None
    if len(found) < len(HASHES):
        raise EdgeBertError(f"{_PACKAGE} has not the files that were expected; give another with --ort-web")
    return found
