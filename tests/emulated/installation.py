"""What emulated processors need: qemu, wheels, OpenVINO among them, and for Arm a Python of its own.

All of it is put into one folder; the system is not changed, and nobody needs to be root for it. Debian's packages come
from the mirror that this machine's apt has, of one release whatever this machine's is.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# With qemu 7.2, of the release before it, products that use SME are wrong; 10.0 computes what its documents say.
_RELEASE = "trixie"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SOURCES = Path("/etc/apt")
_HERE = Path(sysconfig.get_path("purelib"))
# What wheels lean on and Python does not.
_ARM_PACKAGES = ("python3", "libstdc++6")
_ARM_PYTHON = "3.13"
_ARM_PLATFORMS = (
    "manylinux_2_35_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_17_aarch64",
)
_NEVER_FOLLOWED = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")


class NotPossibleError(Exception):
    """What this machine lacks, in a line."""


class Installation:
    """A folder with qemu and Arm's Python; what is there is not downloaded again."""

    def __init__(self, folder: Path):
        """Take the folder, which need not be there yet."""
        self.folder = folder
        self.arm_root = folder / "arm64"

    @property
    def arm_python(self) -> Path:
        """Arm's Python, which runs under qemu alone."""
        return self.arm_root / f"usr/bin/python{_ARM_PYTHON}"

    def packages(self, architecture: str) -> Path:
        """Return the folder of the wheels that an emulated Python imports, on arm64 or amd64."""
        return self.folder / f"site-packages-{architecture}"

    def qemu(self, machine: str) -> Path:
        """Return qemu for the programs of a machine, such as aarch64."""
        return self.folder / f"qemu/usr/bin/qemu-{machine}"

    def add_qemu(self) -> None:
        """Install qemu."""
        if not (self.folder / "qemu").exists():
            apt = _Apt(self.folder / "apt", _output(["dpkg", "--print-architecture"]).strip())
            apt.unpack(["qemu-user"], self.folder / "qemu")

    def add_arm_python(self) -> None:
        """Install Arm's Python."""
        if not self.arm_root.exists():
            apt = _Apt(self.folder / "apt-arm64", "arm64")
            apt.unpack(apt.closure(_ARM_PACKAGES), self.arm_root)

    def add_packages(self, architecture: str) -> None:
        """Install, beside what is installed here of edgebert, what that, its engines and its tests need."""
        required = metadata.requires("edgebert") or ()
        needed = [line for line in required if "extra ==" not in line]
        needed += [line.partition(";")[0] for line in required if line.endswith('extra == "openvino"')]
        folder = self.packages(architecture)
        self._add_wheels([*needed, "pytest", "hypothesis"], folder, architecture)
        # Not that of the working folder, which Python may import first.
        own = [*_HERE.glob("edgebert"), *_HERE.glob("edgebert-*.dist-info")]
        if len(own) != 2:
            raise NotPossibleError(f"expected edgebert as a wheel in {_HERE}, found none; use `make check-arm64`")
        for path in own:
            link = folder / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(path)

    def _add_wheels(self, packages: list[str], folder: Path, architecture: str) -> None:
        constraints = REPOSITORY / "constraints.txt"
        wanted = "\n".join([*packages, constraints.read_text()])
        done = folder.with_suffix(".txt")
        if done.exists() and done.read_text() == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        target = ["--target", str(folder), "--only-binary=:all:"]
        if architecture == "arm64":
            platforms = [part for platform in _ARM_PLATFORMS for part in ("--platform", platform)]
            target += ["--python-version", _ARM_PYTHON, *platforms]
        # This Python has other packages, of which pip would say that they do not go together with these.
        target += ["--no-warn-conflicts", "--disable-pip-version-check", "-qq"]
        _run([sys.executable, "-m", "pip", "install", *target, "--constraint", str(constraints), *packages])
        done.write_text(wanted)


class _Apt:
    """apt with lists and a state of its own, for one architecture."""

    def __init__(self, folder: Path, architecture: str):
        for part in ("lists/partial", "cache/archives/partial", "packages"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={_keys()}] {_mirror()} {_RELEASE} main\n")
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": folder,
            "Dir::State::status": folder / "status",
        }
        self._options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        self._packages = folder / "packages"
        _run(["apt-get", *self._options, "--quiet=2", "update"])

    def closure(self, packages: Iterable[str]) -> list[str]:
        """Return packages with all that they depend on."""
        unfollowed = [f"--no-{kind}" for kind in _NEVER_FOLLOWED]
        found = _output(["apt-cache", *self._options, "depends", "--recurse", *unfollowed, *packages])
        return sorted(set(re.findall(r"^[a-z0-9]\S*", found, re.MULTILINE)))

    def unpack(self, packages: Iterable[str], folder: Path) -> None:
        """Download packages and unpack them into a new folder; nothing of them is run."""
        _run(["apt-get", *self._options, "--quiet=2", "download", *packages], cwd=self._packages)
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for package in self._packages.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(unfinished)])
            package.unlink()
        # Where programs look for what starts them; Debian's packages leave that link to its installer.
        if not (unfinished / "lib").exists():
            (unfinished / "lib").symlink_to("usr/lib")
        unfinished.rename(folder)


def _keys() -> Path:
    if not _KEYS.exists():
        raise NotPossibleError(f"Debian's keys are not here; apt-get install {_KEYS.stem}")
    return _KEYS


def _mirror() -> str:
    """Return the address of the archive that this machine's own packages come from."""
    sources = [*_SOURCES.glob("sources.list"), *sorted(_SOURCES.glob("sources.list.d/*"))]
    text = "\n".join(source.read_text() for source in sources)
    found = re.search(r"https?://\S+/debian(?=/?\s)", text)
    if found is None:
        raise NotPossibleError(f"no mirror of Debian in {_SOURCES}/sources.list or sources.list.d; run it on Debian")
    return found.group()


def _output(command: list[str]) -> str:
    return _run(command, stdout=subprocess.PIPE).stdout


def _run(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, check=True, text=True, **options)
    except FileNotFoundError:
        raise NotPossibleError(f"{command[0]} is not here; run it on Debian") from None
    except subprocess.CalledProcessError as problem:
        raise NotPossibleError(f"{Path(command[0]).name} failed with status {problem.returncode}; see above") from None
