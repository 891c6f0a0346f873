"""Profiles a bundle on another machine: sends it there over ssh, runs edgebert there and brings the profile back.

The system's ssh connects, with the hosts and keys that it knows. The bundle lies in a temporary folder there, which is
removed whatever happens.
"""

import contextlib
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from typing import IO

from edgebert import records
from edgebert.errors import ProfileError, cause_of
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.version import __version__

# Exit statuses: ssh's own, and a shell's.
_NOT_CONNECTED, _NO_COMMAND = 255, 127
# When files were changed, for tar: it warns of the far past and, where a clock is slow, of the future.
_SENT_AT = 10**9

# What runs on the device, in any POSIX shell. Some run no EXIT trap when a signal ends them: signals become exits.
# Nothing tells a command that its connection is gone, but its input ends: `read` waits for that, so that an
# interrupted profile does not go on and slow down the next one. Hence input stays open after the archive, of which
# `head` takes as much as there is, since some tars read on to the end of input.
_SCRIPT = (
    "folder=$(mktemp -d) || exit 1; "
    "trap 'rm -rf \"$folder\"' EXIT; "
    "trap 'exit 1' HUP INT PIPE TERM; "
    'head -c {archive_bytes} | tar -xf - -C "$folder" || exit 1; '
    "exec 3<&0; "
    '{command} profile "$folder" --json {arguments} </dev/null 3<&- & profiler=$!; '
    "{{ read -r line <&3; kill $profiler; }} >/dev/null 2>&1 & watcher=$!; "
    "wait $profiler; status=$?; "
    # What holds input open may keep the connection open. KILL, since a shell that has just started may miss others.
    "{{ kill -KILL $watcher; wait $watcher; }} 2>/dev/null; "
    "exit $status"
)


def profile_on(
    host: str,
    bundle: Bundle,
    arguments: Sequence[str] = (),
    *,
    command: str = "edgebert",
    ssh: Sequence[str] = ("ssh",),
) -> DeviceProfile:
    """Measure a bundle on the machine that ssh knows as `host`, with more arguments of `edgebert profile` if any.

    `command` is how edgebert is started there, from the home folder: words as a shell reads them. What it prints on
    standard error appears on this process's own.

    Raises:
        ProfileError: no ssh here, no connection, no edgebert there, or it failed or printed no profile of this bundle.
    """
    # What starts with a dash ssh would take for an option.
    if not host or host.startswith("-"):
        raise ProfileError(f"expected a host such as user@device, found '{host}'; give one that `ssh HOST` connects to")
    members = _members(bundle)
    words, archive_bytes = shlex.join(_words(command)), _archive_bytes(members)
    script = _SCRIPT.format(command=words, arguments=shlex.join(arguments), archive_bytes=archive_bytes)
    status, output = _run([*ssh, "-T", "--", host, f"sh -c {shlex.quote(script)}"], bundle, members)
    if status:
        raise _failure(status, host, command)
    return _decoded(output, host, bundle)


def _words(command: str) -> list[str]:
    """Return the words of a shell command, or raise a ProfileError."""
    with contextlib.suppress(ValueError):
        if words := shlex.split(command):
            return words
    raise ProfileError(f"expected a command such as edgebert, found '{command}'; check its quotes")


def _members(bundle: Bundle) -> list[tarfile.TarInfo]:
    """Return the entries of the archive that is sent: the bundle's files and nothing else in its folder."""
    names = dict.fromkeys([MANIFEST, *(file.file for file in bundle.files())])  # each once
    members = [tarfile.TarInfo(name) for name in names]
    for member in members:
        member.mtime = _SENT_AT
        try:
            member.size = (bundle.path / member.name).stat().st_size
        except OSError as problem:
            raise _unreadable(bundle, problem) from None
    return members


def _archive_bytes(members: Sequence[tarfile.TarInfo]) -> int:
    """Return the size of the archive: entries and an end of two blocks, filled up to whole records."""
    # Counted beforehand, since it is sent as it is made and the device must know where it ends.
    entries = sum(len(member.tobuf(tarfile.GNU_FORMAT)) + _filled(member.size, tarfile.BLOCKSIZE) for member in members)
    return _filled(entries + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)


def _filled(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _run(command: Sequence[str], bundle: Bundle, members: Sequence[tarfile.TarInfo]) -> tuple[int, bytes]:
    """Run ssh, send it the archive, and return its exit status and what came back."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as problem:
        raise ProfileError(f"cannot run {command[0]}: {cause_of(problem)}; install OpenSSH's client") from None
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            _send(process.stdin, bundle, members)
            output = process.stdout.read()
            return process.wait(), output
        except BaseException:
            # Ctrl-C in a terminal reaches ssh too, other interruptions do not.
            process.terminate()
            process.wait()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):  # what ssh did not take is still to be written
                process.stdin.close()


def _send(stream: IO[bytes], bundle: Bundle, members: Sequence[tarfile.TarInfo]) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for member in members:
                with open(bundle.path / member.name, "rb") as file:
                    archive.addfile(member, file)
        stream.flush()
    except BrokenPipeError:
        # It ended first: its status says why.
        pass
    except OSError as problem:
        raise _unreadable(bundle, problem) from None


def _unreadable(bundle: Bundle, problem: OSError) -> ProfileError:
    return ProfileError(f"cannot send {bundle.path}: {cause_of(problem)}; check its files")


def _failure(status: int, host: str, command: str) -> ProfileError:
    """Return what an exit status means; ssh and the device have said more on standard error."""
    if status == _NOT_CONNECTED or status < 0:  # below 0: a signal ended ssh
        reason = f"ssh ended with status {status} and says above why"
        return ProfileError(f"the connection to {host} failed: {reason}; make `ssh {host}` work first")
    if status == _NO_COMMAND:
        advice = "`pip install edgebert` there, or say with --host-command where it is"
        return ProfileError(f"expected the command '{command}' on {host}, found none; {advice}")
    return ProfileError(f"profiling on {host} failed with status {status}; it says above why and what to do")


def _decoded(output: bytes, host: str, bundle: Bundle) -> DeviceProfile:
    try:
        found = records.decode(output, DeviceProfile, "its output", ProfileError)
        found.check_runtime("its output")
    except ProfileError as problem:
        reason = str(problem).rpartition("; ")[0]  # without the advice for files
        advice = f"install edgebert {__version__} there too, and let the start of its shell print nothing"
        raise ProfileError(f"expected a profile from {host}, found something else: {reason}; {advice}") from None
    if found.bundle_sha256 != bundle.sha256:
        hashes = f"expected one of {bundle.sha256[:12]}..., found one of {found.bundle_sha256[:12]}..."
        raise ProfileError(f"{host} profiled another bundle: {hashes}; profile again, and leave the bundle as it is")
    return found
