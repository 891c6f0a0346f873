"""Where profiles of this device are kept, and when a kept one may still be used."""

import contextlib
import hashlib
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import platformdirs

from edgebert import locks
from edgebert.engines.session import engine_versions
from edgebert.errors import ProfileError, cause_of
from edgebert.inputs.bundle import Bundle
from edgebert.machine import canary
from edgebert.machine.device import Device, default_threads, this_device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profile_settings import ProfileSettings
from edgebert.measuring.trial_journal import is_current
from edgebert.scratch import remove_abandoned
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

# Times the canary's latency then: more, or less than one by it, and the profile is measured again.
_SAME_SPEED = 1.1
# Some are late for no lasting reason, so their median counts.
_CANARY_RUNS = 7
# One has 20 to 200 kB. The least recently used are removed.
_MOST_PROFILES = 100
# No profile has so much: what grew beyond it is not read into memory.
_MOST_BYTES = 64_000_000

_JOURNALS = "*.journal.jsonl"


def find(bundle: Bundle, batch_size: int, *, run_canary: Callable[[int], float] = canary.run) -> DeviceProfile | None:
    """Return the kept profile of a bundle on this device, if there is one that may be used."""
    path, device = _path(bundle, batch_size), this_device()
    if path is None or not os.path.isfile(path):
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ProfileError(f"{path} is larger than any profile")
        found = DeviceProfile.load(path)
    except (OSError, ProfileError) as problem:
        _warn_once(f"measuring again, since the cached profile is of no use: {problem}")
        return None
    was = found.device
    if found.bundle_sha256 != bundle.sha256 or not isinstance(was, Device) or was.fingerprint != device.fingerprint:
        _warn_once(f"measuring again, since the cached profile is of another bundle or device: {path}")
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the last use
    changes = device.changes_since(was)
    if not changes:
        return found

    # Whether what has changed matters, such as the system's version, is for the canary to tell.
    what = f"{'; '.join(changes)} since the profile was measured"
    was_ms = statistics.median(reading.canary_ms for reading in found.stability.readings)
    now_ms = statistics.median(run_canary(default_threads()) for _ in range(_CANARY_RUNS))
    if not 1 / _SAME_SPEED <= now_ms / was_ms <= _SAME_SPEED:
        _warn_once(f"measuring again: {what}, and a fixed workload takes {now_ms / was_ms:.2f}x as long")
        return None
    logger.info("%s, but a fixed workload takes as long as then: the profile stands", what)
    # With the device as it is now, so that the next one need not ask. Where that cannot be written, it asks again.
    found = msgspec.structs.replace(found, device=device)
    with contextlib.suppress(ProfileError):
        found.save(path)
    return found


def keep(found: DeviceProfile, bundle: Bundle, *, quick: bool) -> None:
    """Keep a profile for later, if it tells of this device as it is: added to what is kept, or in place of it."""
    settings = found.settings
    # Who asks later names neither shapes nor a pace, and means this machine.
    if settings.requests_per_s or settings.emulated or bundle.manifest.max_length not in settings.lengths:
        return
    path, earlier = _path(bundle, max(settings.batch_sizes)), find(bundle, max(settings.batch_sizes))
    complete = {entry.id for entry in found.subnetworks} >= {subnet.id for subnet in bundle.manifest.subnetworks}
    if earlier is not None and earlier.differs_from(found) is None:
        kept = _combined(earlier, found) if quick else earlier.merged(found)
        if kept != earlier:
            _write(kept, path)
    elif complete:
        _write(found, path)


def _combined(earlier: DeviceProfile, look: DeviceProfile) -> DeviceProfile:
    """Return what is kept and a short look tell together."""
    return earlier.healed(look) if earlier.is_doubtful else earlier.completed(look)


def journal_path(bundle: Bundle, settings: ProfileSettings, keys: Sequence[tuple[str, Way]]) -> Path | None:
    """Return where a profiling of these sub-networks and ways writes down how far it is, None for nowhere."""
    return _journal_of((bundle.sha256, this_device().fingerprint, engine_versions(), settings, keys))


def page_journal_path(bundle: Bundle, fingerprint: str, asked: object) -> Path | None:
    """Return where the page of another device writes down how far it is with what was asked for, None for nowhere."""
    return _journal_of(("page", bundle.sha256, fingerprint, asked))


def page_profile_path(bundle: Bundle, fingerprint: str) -> Path | None:
    """Return where the profile that a page made on another device is kept, None for nowhere."""
    folder = _made_folder()
    return None if folder is None else folder / f"{bundle.sha256[:16]}-{fingerprint[:32]}-page.json"


def _journal_of(everything: object) -> Path | None:
    folder = _made_folder()
    return None if folder is None else folder / _JOURNALS.replace("*", _hash(everything)[:32])


def _made_folder() -> Path | None:
    """Return the folder of profiles, tidied, None where there is no home folder to have one in."""
    folder = _folder()
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
    return folder


@contextlib.contextmanager
def measuring_alone() -> Iterator[bool]:
    """Wait until no other process of this user measures, since two at once spoil each other's figures.

    Gives whether it had to wait. Where there is no place for a lock, nobody waits.
    """
    lock, waited = None, False
    with contextlib.suppress(OSError):
        folder = _folder()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            lock = locks.take(folder / "measuring.lock", wait=False)
            waited = lock is None
            if waited:
                logger.warning("another process is measuring on this device: waiting until it is done")
                lock = locks.take(folder / "measuring.lock", wait=True)
    try:
        yield waited
    finally:
        if lock is not None:
            locks.release(lock)


def _path(bundle: Bundle, batch_size: int) -> Path | None:
    """Return where the profile of a bundle on this device is kept; what runs it is part of the device."""
    folder = _folder()
    # Another version of an engine is another file: who goes back to the old one finds its profile again.
    versions = _hash(sorted(engine_versions().items()))[:16]
    name = f"{bundle.sha256[:16]}-{this_device().fingerprint}-{versions}-b{batch_size}.json"
    return None if folder is None else folder / name


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


def _folder() -> Path | None:
    """Return the folder of profiles, which need not be there; None where there is no home folder to have one in."""
    try:
        cache_folder = Path(platformdirs.user_cache_dir("edgebert", appauthor=False))
    except RuntimeError:
        return None
    # Older versions of platformdirs return "~/.cache", as it is, or a relative XDG_CACHE_HOME, which does not count.
    return cache_folder / "profiles" if cache_folder.is_absolute() else None


def _write(found: DeviceProfile, path: Path | None) -> None:
    """Write a profile into the cache; where that cannot be, it serves this process alone, which is told once."""
    reason = "there is no home folder"
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            found.save(path)
            return
        except (OSError, ProfileError) as problem:
            # Of a profile's file the reason alone: its name and the advice are for files that users name.
            what = cause_of(problem).removeprefix(f"cannot write {path}: ")
            reason = f"cannot write to {path.parent}: {what.partition(';')[0]}"
    advice = "set XDG_CACHE_HOME to a folder that can be written, or give a profile's file with --profile"
    _warn_once(f"profiles are not kept: {reason}; {advice}")


def _tidy(folder: Path) -> None:
    """Remove what is of no more use: what killed processes left, and the profiles that were not used for longest."""
    remove_abandoned(folder)
    for path in folder.glob(_JOURNALS):
        if not is_current(path):
            path.unlink()
    # From now in either direction: after a clock was set back, files from before are the older ones and not the newer.
    now_s = time.time()
    by_use = sorted(folder.glob("*.json"), key=lambda path: abs(now_s - path.stat().st_mtime))
    for path in by_use[_MOST_PROFILES:]:
        path.unlink()


@cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)
