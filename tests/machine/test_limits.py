import os
import sys
from pathlib import Path

import pytest

from edgebert.errors import EdgeBertError
from edgebert.machine.limits import Limits, granted, impose


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def granted_in(tmp_path: Path, memberships: str) -> Limits:
    (tmp_path / "memberships").write_text(memberships)
    return granted(tmp_path / "cgroup", tmp_path / "memberships")


def test_version_2_limits_of_a_group_and_those_around_it_count(tmp_path: Path) -> None:
    group(tmp_path / "cgroup" / "a" / "b", cpu__max="150000 100000", memory__max="max")
    group(tmp_path / "cgroup" / "a", cpu__max="max 100000", memory__max="500000000")
    assert granted_in(tmp_path, "0::/a/b\n") == Limits(cpus=1.5, memory_mb=500.0)


def test_version_1_limits_count(tmp_path: Path) -> None:
    group(tmp_path / "cgroup" / "cpu" / "a", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    group(tmp_path / "cgroup" / "memory" / "a", memory__limit_in_bytes="9223372036854771712")
    assert granted_in(tmp_path, "3:cpu:/a\n2:memory:/a\n") == Limits(cpus=0.5, memory_mb=None)


def test_controllers_that_share_a_group_are_found(tmp_path: Path) -> None:
    group(tmp_path / "cgroup" / "cpu,cpuacct" / "a", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    assert granted_in(tmp_path, "4:cpu,cpuacct:/a\n2:pids:/a\n") == Limits(cpus=2.0)


@pytest.mark.parametrize("memberships", ["", "nonsense\n", "0::/no/such/group\n"])
def test_without_groups_there_are_no_limits(tmp_path: Path, memberships: str) -> None:
    group(tmp_path / "cgroup")
    assert granted_in(tmp_path, memberships) == Limits()
    assert granted(tmp_path / "none", tmp_path / "none") == Limits()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_processors_are_taken_away() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        impose(Limits(cpus=1.9))
        assert len(os.sched_getaffinity(0)) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_the_fastest_processors_are_left() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        impose(Limits(cpus=1.0), by_speed=sorted(allowed, reverse=True))
        assert os.sched_getaffinity(0) == {max(allowed)}
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are imposed on Linux")
def test_a_limit_that_the_system_refuses_is_an_error() -> None:
    with pytest.raises(EdgeBertError, match=r"this system cannot emulate 1e\+30 MB: .*; emulate on Linux"):
        impose(Limits(memory_mb=1e30))


def test_limits_are_told_in_words() -> None:
    assert str(Limits()) == "no limit"
    assert str(Limits(cpus=1.5, memory_mb=200.0)) == "1.5 processors and 200 MB"
