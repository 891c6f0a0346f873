"""How many bytes does `pip install edgebert` bring to a device?

The repository is installed from a copy of its sources into a fresh virtual environment, with constraints.txt if there
is one. Counted is what pip recorded of each distribution in site-packages, without pip itself.

    python benchmarks/install_size.py
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from edgebert.cli.output import megabytes, print_json, print_table

REPOSITORY = Path(__file__).parent.parent
INSTALLERS = {"pip", "setuptools", "wheel"}
WORKSTATION_ONLY = {"torch", "transformers", "onnx"}


@dataclass(frozen=True)
class Installed:
    """One distribution and its bytes in site-packages; `bytecode_bytes` are those in __pycache__, and part of them."""

    name: str
    version: str
    size_bytes: int
    bytecode_bytes: int


def install(folder: Path) -> Path:
    """Install the repository into a new virtual environment and return its site-packages."""
    # Built from a copy: setuptools would leave its build folder in the repository, and take old files from it.
    sources = folder / "sources"
    unwanted = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", ".*")
    shutil.copytree(REPOSITORY, sources, ignore=unwanted)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    (python,) = [path for path in environment.glob("*/python*") if path.stem == "python"]
    constraints = REPOSITORY / "constraints.txt"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", sources]
    command += ["-c", constraints] if constraints.is_file() else []
    subprocess.run(command, check=True)
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())


def measured(distribution: Distribution, site_packages: Path) -> Installed:
    files = [Path(file.locate()).resolve() for file in distribution.files or ()]
    sizes = {file: file.stat().st_size for file in files if file.is_relative_to(site_packages) and file.is_file()}
    bytecode = sum(size for file, size in sizes.items() if file.parent.name == "__pycache__")
    return Installed(distribution.name, distribution.version, sum(sizes.values()), bytecode)


def print_summary(result: dict) -> None:
    rows = [
        [one.name, one.version, megabytes(one.size_bytes), megabytes(one.size_bytes - one.bytecode_bytes)]
        for one in result["distributions"][:10]
    ]
    rows.append(["all", "", megabytes(result["size_bytes"]), megabytes(result["size_without_bytecode_bytes"])])
    print(f"{len(result['distributions'])} distributions, the largest ten:\n")
    print_table(rows, ["distribution", "version", "size", "without bytecode"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site_packages = install(Path(folder)).resolve()
        found = [measured(one, site_packages) for one in distributions(path=[str(site_packages)])]
    found = sorted((one for one in found if one.name not in INSTALLERS), key=lambda one: -one.size_bytes)
    assert not WORKSTATION_ONLY & {one.name for one in found}, "the device side must not bring torch or onnx"
    size_bytes = sum(one.size_bytes for one in found)
    result = {
        "size_bytes": size_bytes,
        "size_without_bytecode_bytes": size_bytes - sum(one.bytecode_bytes for one in found),
        "distributions": found,
    }
    print_json(result) if options.json else print_summary(result)


if __name__ == "__main__":
    main()
