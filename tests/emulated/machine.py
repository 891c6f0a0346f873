"""A machine with an emulated processor: a folder whose bin/python runs under qemu, and so does all that it starts."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from emulated.installation import Installation, NotPossibleError
from emulated.processors import Processor

# In a mount namespace of its own, a file of ours stands in the place of /proc/cpuinfo, which libraries read to find out
# what they may use: Arm's ONNX Runtime crashes on that of an x86 processor.
_WITH_CPU_INFO = 'mount --bind "$1" /proc/cpuinfo && shift && exec "$@"'
_QEMU = {"arm64": "aarch64", "amd64": "x86_64"}


class Machine:
    """An emulated processor, and a Python environment on it."""

    def __init__(self, processor: Processor, installation: Installation):
        """Make the environment's folder: its Python is an own one for Arm, and the running one for x86."""
        self.processor = processor
        self.folder = installation.folder / processor.name
        self.python = self.folder / "bin" / "python"
        self._cpu_info = self.folder / "cpuinfo"
        if processor.architecture == "arm64":
            home = installation.arm_python
            prefix = ["-L", str(installation.arm_root)]
            library = f"{home.name}/site-packages"
        else:
            home, prefix = Path(_real_python()), []
            library = f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        qemu = [str(installation.qemu(_QEMU[processor.architecture])), "-cpu", processor.model, *prefix]
        self._make(qemu, home, self.folder / "lib" / library, installation.packages(processor.architecture))

    def run(self, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        """Run this machine's Python, and return what became of it."""
        return subprocess.run(self.command(*arguments), env=_environment(), text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs this machine's Python."""
        namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        return [*namespace, "sh", "-c", _WITH_CPU_INFO, "sh", str(self._cpu_info), str(self.python), *arguments]

    def check(self) -> None:
        """Raise what is missing if this machine cannot start."""
        code = "import platform; print(platform.machine(), open('/proc/cpuinfo').read().count('processor'))"
        found = self.run("-c", code, capture_output=True)
        if found.stdout != f"{_QEMU[self.processor.architecture]} {os.cpu_count()}\n":
            reason = (found.stderr or found.stdout).strip().split("\n")[-1]
            cure = "run as root in a container that may mount, or allow users their own namespaces"
            raise NotPossibleError(f"{self.processor.name} cannot be emulated here: {reason}; {cure}")

    def _make(self, qemu: list[str], home: Path, library: Path, packages: Path) -> None:
        """Write the wrapper that runs Python under qemu, and what makes Python take its folder for an environment."""
        self.python.parent.mkdir(parents=True, exist_ok=True)
        library.parent.mkdir(parents=True, exist_ok=True)
        if library.is_symlink():
            library.unlink()
        library.symlink_to(packages)
        (self.folder / "pyvenv.cfg").write_text(f"home = {home.parent}\ninclude-system-site-packages = false\n")
        self._cpu_info.write_text(self.processor.cpu_info(os.cpu_count() or 1))
        # Python finds its environment by the name that it was called by.
        command = shlex.join([*qemu, "-0", str(self.python), str(home)])
        self.python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        self.python.chmod(0o755)


def _real_python() -> str:
    """Return the file of the running Python, without links."""
    return os.path.realpath(sys.executable)


def _environment() -> dict[str, str]:
    """Return the environment of emulated processes: none of this machine's choices of kernels."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
