"""What the tests of measuring share: a cache that nothing was left in, and a bundle that takes little time."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_trials import TWO

from edgebert.inputs.bundle import Bundle


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which no other test has left anything: the folder of profiles."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgebert" / "profiles"


@pytest.fixture
def bundle_of_two(builtin: Bundle, alter_manifest: Callable[..., Path]) -> Bundle:
    """The built-in bundle with its smallest and its largest sub-network."""
    return Bundle.load(alter_manifest(subnetworks=tuple(builtin.subnet(subnet_id) for subnet_id in TWO)))
