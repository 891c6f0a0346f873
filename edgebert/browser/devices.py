"""The devices that have opened the page: what each has measured so far, and its profile in the end.

Knows nothing of HTTP; several threads may call at once.
"""

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgebert.browser.posted import Asked, PageTrial, Posted
from edgebert.errors import EdgeBertError, ProfileError, one_line
from edgebert.inputs.bundle import Bundle
from edgebert.journal import Journal
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring import profile_cache
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.known_ways import impossible
from edgebert.measuring.trial_journal import read_current

# Of one address in a house these are many; each keeps a file and a part of the memory.
_MOST_DEVICES = 64
_MOST_BYTES_OF_A_DEVICE = 1 << 26
_MOST_OF_A_NAME = 60


@dataclass(frozen=True)
class Measured:
    """A device has made a trial."""

    device: JavaScriptDevice
    done: int
    total: int
    subnet_id: str


@dataclass(frozen=True)
class Finished:
    """A device's profile is saved, and whether all devices that began have one now."""

    device: JavaScriptDevice
    profile: DeviceProfile
    path: Path
    is_last: bool


@dataclass(frozen=True)
class Stopped:
    """A page goes no further, and why."""

    reason: str


Event = Measured | Finished | Stopped | EdgeBertError


class OtherPageError(EdgeBertError):
    """The page is not, or no longer, the one in which this device is measured."""


@dataclass
class _Device:
    """One device: the page in which it is measured, and the trials so far; the file is None where none can be kept."""

    page: str
    file: Journal[PageTrial] | None
    trials: dict[object, PageTrial] = field(default_factory=dict)
    size_bytes: int = 0
    is_finished: bool = False
    path: Path | None = None


class Devices:
    """All devices of one run of the server, told apart by their fingerprints."""

    def __init__(self, bundle: Bundle, asked: Asked, *, engine: str, out: Path | None, tell: Callable[[Event], object]):
        """Take what is to be measured, with which `engine` (a hash), where profiles go, and who hears of events."""
        self.asked = asked
        self._bundle, self._engine, self._out, self._tell = bundle, engine, out, tell
        self._lock = threading.Lock()
        self._devices: dict[str, _Device] = {}

    def begin(self, fingerprint: str, page: str) -> list[PageTrial]:
        """Return the trials that a device has made; from now on it is measured in this page, and in no earlier one.

        Raises:
            EdgeBertError: there are too many devices.
        """
        with self._lock:
            known = self._devices.get(fingerprint)
            if known is None:
                if len(self._devices) >= _MOST_DEVICES:
                    raise EdgeBertError(f"expected at most {_MOST_DEVICES} devices; start edgebert again for more")
                known = self._devices[fingerprint] = self._opened(fingerprint, page)
            known.page = page
            return list(known.trials.values())

    def _opened(self, fingerprint: str, page: str) -> _Device:
        path = profile_cache.page_journal_path(self._bundle, fingerprint, (self.asked, self._engine))
        if path is None:
            return _Device(page, None)
        file = Journal[PageTrial](path, PageTrial, ProfileError)
        return _Device(page, file, {trial.key: trial for trial in read_current(file)})

    def add(self, fingerprint: str, page: str, posted: Posted) -> None:
        """Write down a trial.

        Raises:
            OtherPageError: the device is measured in another page.
            ProfileError: the trial is not one of this bundle and device, or they are too many.
        """
        self._check(posted, fingerprint)
        with self._lock:
            known = self._current(fingerprint, page)
            # A page that got no answer posts again.
            if posted.trial.key not in known.trials:
                self._keep(known, posted.trial)
        self._tell(Measured(posted.device, posted.done, posted.total, posted.trial.subnet))

    def _check(self, posted: Posted, fingerprint: str) -> None:
        trial = posted.trial
        self._bundle.subnet(trial.subnet)
        reason = next(impossible(trial.way, posted.device), None)
        if posted.device.fingerprint != fingerprint:
            reason = "expected a trial of the device that this page began with"
        if reason:
            raise ProfileError(f"the posted trial: {reason}; load the page again")

    def _keep(self, known: _Device, trial: PageTrial) -> None:
        known.size_bytes += len(msgspec.json.encode(trial))
        if known.size_bytes > _MOST_BYTES_OF_A_DEVICE:
            raise ProfileError(f"expected at most {_MOST_BYTES_OF_A_DEVICE} bytes of trials; measure fewer networks")
        known.trials[trial.key] = trial
        if known.file is not None:
            try:
                known.file.append(trial)
            except ProfileError:
                # It only could not go on after a restart: that nothing can be written is told with the profile.
                known.file = None

    def finish(self, fingerprint: str, page: str, profile: DeviceProfile) -> None:
        """Save a device's profile.

        Raises:
            OtherPageError: the device is measured in another page.
            ProfileError: the profile is not one of this bundle and device, or cannot be saved.
        """
        profile.check_fits(self._bundle, "the posted profile")
        device = profile.device
        if not isinstance(device, JavaScriptDevice) or device.fingerprint != fingerprint:
            raise ProfileError("expected the profile of the device that this page began with; load the page again")
        with self._lock:
            known = self._current(fingerprint, page)
            path = known.path or self._path(device)
            profile = self._merged(profile, path)
            try:
                profile.save(path)
            except ProfileError as problem:
                self._tell(problem)
                raise
            known.path, known.is_finished = path, True
            # The trials stay in memory: a page that is loaded again is finished at once.
            if known.file is not None:
                known.file.remove()
                known.file = None
            is_last = all(one.is_finished for one in self._devices.values())
        self._tell(Finished(device, profile, path, is_last))

    def _merged(self, profile: DeviceProfile, path: Path) -> DeviceProfile:
        """Return a profile of some networks with the others that the file holds, if it is of the same device."""
        if (self.asked.subnets or self.asked.threads) and path.is_file():
            with contextlib.suppress(ProfileError):
                return DeviceProfile.load(path).merged(profile)
        return profile

    def stop(self, reason: str) -> None:
        """Pass on why a page goes no further; its device may begin again."""
        self._tell(Stopped(one_line(reason)))

    def _current(self, fingerprint: str, page: str) -> _Device:
        known = self._devices.get(fingerprint)
        if known is None or known.page != page:
            what = "this device, or one just like it, has opened the page once more, and is measured there"
            raise OtherPageError(f"{what}; load this page again to go on here")
        return known

    def _path(self, device: JavaScriptDevice) -> Path:
        """Return where a profile is to be saved: no other device's is there."""
        if self._out is None:
            kept = profile_cache.page_profile_path(self._bundle, device.fingerprint)
            if kept is None:
                raise ProfileError("there is no home folder to keep the profile in; give a place with --out FILE")
            return kept
        if len(self._devices) == 1:
            return self._out
        taken = {one.path for one in self._devices.values()}
        path = self._out.with_name(f"{self._out.stem}-{file_name_of(device.name)}{self._out.suffix}")
        if path in taken:
            path = path.with_name(f"{path.stem}-{device.fingerprint[:8]}{path.suffix}")
        return path


def file_name_of(name: str) -> str:
    """Return a device's name as a part of a file's name: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:_MOST_OF_A_NAME].strip("-") or "device"
