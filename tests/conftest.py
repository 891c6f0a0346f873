"""What the device's tests share: copies of the built-in bundle, and a cache of their own."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import msgspec
import pytest

from edgebert import records
from edgebert.errors import BundleError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.manifest import FileRef, Manifest

# How long an example takes says how busy the machine is, not whether the law holds.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

Alter = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs more than a device has where that is not installed."""
    if importlib.util.find_spec("torch") is None:
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip("needs the libraries of exporting and training"))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep cached profiles of tests out of the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    return cache


@pytest.fixture(scope="session")
def builtin() -> Bundle:
    return Bundle.load()


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    """A copy of the built-in bundle that a test may damage."""
    return Path(shutil.copytree(BUILTIN, tmp_path / "bundle"))


@pytest.fixture
def alter_manifest(bundle_path: Path) -> Alter:
    """Write the copy's manifest again with other values and its new hash, and return the copy."""

    def alter(**values: object) -> Path:
        manifest = records.read(bundle_path / MANIFEST, Manifest, BundleError)
        content = msgspec.structs.replace(manifest, **values).content()
        records.write_bytes(bundle_path / MANIFEST, content, BundleError)
        return bundle_path

    return alter


@pytest.fixture
def alter_graph(bundle_path: Path, alter_manifest: Alter) -> Alter:
    """Replace bytes in a sub-network's graph and put the new hash into the manifest, as a forger would."""

    def alter(old: bytes, new: bytes, subnet_id: str | None = None) -> Path:
        bundle = Bundle.load(bundle_path)
        altered = bundle.subnet(subnet_id) if subnet_id else bundle.manifest.subnetworks[0]
        graph = altered.graphs["fused"]
        content = (bundle_path / graph.file).read_bytes().replace(old, new)
        (bundle_path / graph.file).write_bytes(content)
        forged = msgspec.structs.replace(altered, graphs={"fused": FileRef.of(graph.file, content)})
        subnetworks = [forged if one is altered else one for one in bundle.manifest.subnetworks]
        return alter_manifest(subnetworks=tuple(subnetworks))

    return alter


@pytest.fixture
def edgebert_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgebert", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)  # type: ignore[call-overload, no-any-return]

    return run
