import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import pytest
from waiting import has_ended, soon, trial_of

from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.measuring.remote import profile_on
from profiles import BEST, LEAST, profile_of_costs

# A device has no asyncssh.
pytestmark = [pytest.mark.full, pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")]

EDGEBERT = shlex.join([sys.executable, "-m", "edgebert"])
SUBNETS = ("w0.25-d0.50-int8-static", "w1.00-d1.00-int8-static")


@dataclass(frozen=True)
class Device:
    """What reaches an ssh server of this machine, and the folder for temporary files of what runs there."""

    ssh: tuple[str, ...]
    temporary: Path

    def left(self) -> list[Path]:
        """Return what lies there; ONNX Runtime leaves a hidden file of its own wherever temporary files go."""
        return [path for path in self.temporary.iterdir() if path.name != ".ses"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder, temporary = tmp_path_factory.mktemp("ssh"), tmp_path_factory.mktemp("device") / "temporary files"
    temporary.mkdir()
    command = [sys.executable, str(Path(__file__).parents[1] / "ssh_server.py"), str(folder), str(temporary)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Device(("ssh", "-F", str(folder / "config")), temporary)
        process.communicate(timeout=30)


@pytest.fixture
def device(server: Device) -> Iterator[Device]:
    """Give the server, on which nothing is left after a test."""
    yield server
    assert soon(lambda: not server.left())


def shell(script: str) -> str:
    """Return a command that runs a script; `profile` is its $0, the bundle there $1, the arguments follow."""
    return shlex.join(["sh", "-c", script])


def test_a_bundle_is_profiled_on_the_device(builtin: Bundle, device: Device) -> None:
    arguments = ["--quick", "--subnets", ",".join(SUBNETS), "--lengths", "8"]
    found = profile_on("device", builtin, arguments, command=EDGEBERT, ssh=device.ssh)
    assert found.bundle_sha256 == builtin.sha256
    assert {entry.id for entry in found.subnetworks} == set(SUBNETS)
    assert found.settings.lengths == (8,)
    assert found.settings.min_rounds == 1


def test_the_files_of_the_bundle_are_sent_and_no_others(bundle_path: Path, device: Device, tmp_path: Path) -> None:
    bundle = Bundle.load(bundle_path.rename(tmp_path / "my bundle's folder"))
    (bundle.path / "notes.txt").write_text("mine")
    copy = tmp_path / "what arrived"
    with pytest.raises(ProfileError, match="status 5"):
        profile_on("device", bundle, command=shell(f'cp -R "$1" {shlex.quote(str(copy))}; exit 5'), ssh=device.ssh)
    names = {MANIFEST, *(file.file for file in bundle.files())}
    assert (
        {path.name for path in copy.iterdir()} == names == {path.name for path in bundle.path.iterdir()} - {"notes.txt"}
    )
    assert all((copy / name).read_bytes() == (bundle.path / name).read_bytes() for name in names)


def test_arguments_arrive_as_they_are(builtin: Bundle, device: Device, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["a b", "it's", '"', "$(exit 9)", "{x}", "\\", ""]
    with pytest.raises(ProfileError, match="status 5"):
        profile_on("device", builtin, arguments, command=shell('printf "%s\\n" "$@" >&2; exit 5'), ssh=device.ssh)
    folder, *others = capfd.readouterr().err.split("\n")[:-1]
    assert Path(folder).parent == device.temporary
    assert others == ["--json", *arguments]


def test_a_device_without_edgebert_is_told_from_one_where_it_fails(
    builtin: Bundle, device: Device, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProfileError) as missing:
        profile_on("device", builtin, command="no-edgebert", ssh=device.ssh)
    advice = "`pip install edgebert` there, or say with --host-command where it is"
    assert str(missing.value) == f"expected the command 'no-edgebert' on device, found none; {advice}"
    capfd.readouterr()
    with pytest.raises(ProfileError) as failed:
        profile_on("device", builtin, ["--subnets", "nonsense"], command=EDGEBERT, ssh=device.ssh)
    assert str(failed.value) == "profiling on device failed with status 1; it says above why and what to do"
    assert capfd.readouterr().err.startswith("error: no sub-network 'nonsense' in bundle")


def test_a_device_that_cannot_be_reached_is_an_error(
    builtin: Bundle, device: Device, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProfileError) as caught:
        profile_on("device", builtin, ssh=[*device.ssh, "-p", "1"])
    reason = "ssh ended with status 255 and says above why"
    assert str(caught.value) == f"the connection to device failed: {reason}; make `ssh device` work first"
    assert "Connection refused" in capfd.readouterr().err


def test_a_device_that_ends_before_it_has_the_bundle_is_an_error(builtin: Bundle, device: Device) -> None:
    elsewhere = device.temporary.rename(device.temporary.with_name("elsewhere"))  # no folder can be made there now
    try:
        with pytest.raises(ProfileError, match="profiling on device failed with status 1; it says above why"):
            profile_on("device", builtin, ssh=device.ssh)
    finally:
        elsewhere.rename(device.temporary)


@pytest.mark.parametrize("host", ["", "-V", "-oProxyCommand=touch x"])
def test_a_host_that_ssh_would_take_for_an_option_is_refused(builtin: Bundle, host: str) -> None:
    with pytest.raises(ProfileError, match=f"^expected a host such as user@device, found '{host}'; give one"):
        profile_on(host, builtin)


@pytest.mark.parametrize("command", ["", " ", "edge'bert"])
def test_a_command_without_words_or_with_an_open_quote_is_refused(builtin: Bundle, command: str) -> None:
    with pytest.raises(ProfileError, match=f"^expected a command such as edgebert, found '{command}'; check"):
        profile_on("device", builtin, command=command)


def test_a_machine_without_ssh_is_an_error(builtin: Bundle) -> None:
    with pytest.raises(ProfileError, match=r"^cannot run no-ssh: No such file or directory; install OpenSSH's client"):
        profile_on("device", builtin, ssh=["no-ssh"])


def test_a_file_that_cannot_be_read_ends_the_connection(bundle_path: Path, device: Device) -> None:
    bundle = Bundle.load(bundle_path)
    (bundle_path / bundle.manifest.golden.file).unlink()
    (bundle_path / bundle.manifest.golden.file).mkdir()
    with pytest.raises(ProfileError, match=f"^cannot send {bundle_path}: Is a directory; check its files"):
        profile_on("device", bundle, ssh=device.ssh)
    assert "ssh" not in {child.name() for child in psutil.Process().children()}


def test_a_bundle_that_loses_a_file_is_not_sent(bundle_path: Path) -> None:
    bundle = Bundle.load(bundle_path)
    (bundle_path / bundle.manifest.golden.file).unlink()
    with pytest.raises(ProfileError, match=f"^cannot send {bundle_path}: No such file or directory; check its files"):
        profile_on("device", bundle)


@pytest.mark.parametrize(
    ("output", "reason"), [("echo Welcome", "JSON is malformed"), ("echo {}", "missing required field"), ("true", "")]
)
def test_what_is_not_a_profile_is_refused(builtin: Bundle, device: Device, output: str, reason: str) -> None:
    with pytest.raises(ProfileError, match=f"^expected a profile from device, found something else: .*{reason}.*; ins"):
        profile_on("device", builtin, command=shell(output), ssh=device.ssh)


def test_the_profile_of_another_bundle_is_refused(builtin: Bundle, device: Device, tmp_path: Path) -> None:
    profile_of_costs(builtin, {BEST: 40.0, LEAST: 10.0}).save(tmp_path / "p.json")
    command = shell(f"cat {shlex.quote(str(tmp_path / 'p.json'))}")
    assert profile_on("device", builtin, command=command, ssh=device.ssh).bundle_sha256 == builtin.sha256
    other = Bundle(builtin.path, msgspec.structs.replace(builtin.manifest, sha256="0" * 64))
    with pytest.raises(ProfileError, match=r"^device profiled another bundle: expected one of 000000000000\.\.\., fou"):
        profile_on("device", other, command=command, ssh=device.ssh)


INTERRUPTED = """
import sys
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.remote import profile_on
profile_on("device", Bundle.load(), ["--lengths=8", "--requests-per-s=0.01"], command=sys.argv[1], ssh=sys.argv[2:])
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_profile_ends_here_and_on_the_device(device: Device, tmp_path: Path, by: signal.Signals) -> None:
    started = tmp_path / "started"
    command = shell(f'echo $$ >{started}.part; mv {started}.part {started}; exec {EDGEBERT} "$0" "$@"')
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, command, *device.ssh],
        stderr=subprocess.DEVNULL,
        # A background job of a shell ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert soon(started.exists)
    (ssh,) = psutil.Process(process.pid).children()
    profiler = psutil.Process(int(started.read_text()))
    trial = trial_of(profiler)
    process.send_signal(by)
    process.wait(timeout=120)
    assert soon(lambda: has_ended(ssh) and has_ended(profiler) and has_ended(trial))


STOPS_SENDING = """
import time
from edgebert.measuring import remote
send = remote._send
remote._send = lambda stream, bundle, members: (send(stream, bundle, members[:3]), time.sleep(3600))
"""


def test_a_profile_that_is_killed_while_the_bundle_is_sent_leaves_nothing_on_the_device(device: Device) -> None:
    script = [sys.executable, "-c", STOPS_SENDING + INTERRUPTED, EDGEBERT, *device.ssh]
    with subprocess.Popen(script, stderr=subprocess.DEVNULL) as process:
        assert soon(lambda: any(folder.joinpath(MANIFEST).exists() for folder in device.left()))
        process.kill()
