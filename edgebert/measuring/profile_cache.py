"""Where profiles of this device are kept, and when a kept one may still be used."""

import contextlib
import hashlib
import logging
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import msgspec
import platformdirs
from filelock import FileLock

from edgebert.engines.session import engine_versions
from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine import canary
from edgebert.machine.device import default_threads, this_device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profile_settings import ProfileSettings
from edgebert.subnet import Way

logger = logging.getLogger(__name__)

# Times the canary's latency then: more, or less than one by it, and the profile is measured again.
_SAME_SPEED = 1.1
# Some are late for no lasting reason, so their median counts.
_CANARY_RUNS = 7


def find(bundle: Bundle, batch_size: int, *, run_canary: Callable[[int], float] = canary.run) -> DeviceProfile | None:
    """Return the kept profile of a bundle on this device, if there is one that may be used."""
    path, device = _path(bundle, batch_size), this_device()
    if path is None or not path.is_file():
        return None
    try:
        found = DeviceProfile.load(path)
    except ProfileError as problem:
        logger.warning("measuring again, since the cached profile is of no use: %s", problem)
        return None
    if found.bundle_sha256 != bundle.sha256 or found.device.fingerprint != device.fingerprint:
        logger.warning("measuring again, since the cached profile is of another bundle or device: %s", path)
        return None
    changes = device.changes_since(found.device)
    if not changes:
        return found

    # Whether what has changed matters, such as the system's version, is for the canary to tell.
    what = f"{'; '.join(changes)} since the profile was measured"
    was_ms = statistics.median(reading.canary_ms for reading in found.stability.readings)
    now_ms = statistics.median(run_canary(default_threads()) for _ in range(_CANARY_RUNS))
    if not 1 / _SAME_SPEED <= now_ms / was_ms <= _SAME_SPEED:
        logger.warning("measuring again: %s, and a fixed workload takes %.2fx as long", what, now_ms / was_ms)
        return None
    logger.info("%s, but a fixed workload takes as long as then: the profile stands", what)
    # With the device as it is now, so that the next one need not ask.
    found = msgspec.structs.replace(found, device=device)
    _write(found, path)
    return found


def keep(found: DeviceProfile, bundle: Bundle, *, quick: bool) -> None:
    """Keep a profile for later, if it tells of this device as it is: added to what is kept, or in place of it."""
    settings = found.settings
    # Who asks later names neither shapes nor a pace, and means this machine.
    if settings.requests_per_s or settings.emulated or bundle.manifest.max_length not in settings.lengths:
        return
    path, earlier = _path(bundle, max(settings.batch_sizes)), find(bundle, max(settings.batch_sizes))
    if path is None:
        return

    if earlier is not None and earlier.differs_from(found) is None:
        measured = {entry.key for entry in earlier.subnetworks}
        fresh = tuple(entry for entry in found.subnetworks if entry.key not in measured)
        # What was measured in one round takes the place of nothing: that may have been measured in many.
        if quick:
            found = msgspec.structs.replace(found, subnetworks=fresh) if fresh else earlier
        _write(earlier.merged(found), path)
    elif {entry.id for entry in found.subnetworks} >= {subnet.id for subnet in bundle.manifest.subnetworks}:
        _write(found, path)


def journal_path(bundle: Bundle, settings: ProfileSettings, keys: Sequence[tuple[str, Way]]) -> Path | None:
    """Return where a profiling of these sub-networks and ways writes down how far it is, None for nowhere."""
    everything = (bundle.sha256, this_device().fingerprint, engine_versions(), settings, keys)
    return _place(f"{_hash(everything)[:32]}.journal.jsonl")


@cache
def measuring_alone() -> contextlib.AbstractContextManager[object]:
    """Wait until no other process of this user measures: two at once spoil each other's figures."""
    # Cached, since who measures what a cache lacks holds it twice, and only the same lock lets its holder in again.
    place = _place("measuring.lock")
    return FileLock(place) if place else contextlib.nullcontext()


def _path(bundle: Bundle, batch_size: int) -> Path | None:
    """Return where the profile of a bundle on this device is kept; what runs it is part of the device."""
    # Another version of an engine is another file: who goes back to the old one finds its profile again.
    versions = _hash(sorted(engine_versions().items()))[:16]
    return _place(f"{bundle.sha256[:16]}-{this_device().fingerprint}-{versions}-b{batch_size}.json")


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


def _place(name: str) -> Path | None:
    """Return where a file of the cache is, or None with a warning where there can be none."""
    folder = Path(platformdirs.user_cache_dir("edgebert", appauthor=False)) / "profiles"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        logger.warning("profiles are not kept: %s", problem)
        return None
    return folder / name


def _write(found: DeviceProfile, path: Path) -> None:
    try:
        found.save(path)
    except ProfileError as problem:
        logger.warning("the profile is not cached: %s", problem)
