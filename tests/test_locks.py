import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgebert import locks

HOLD = """
import sys
from pathlib import Path
from edgebert import locks
assert locks.take(Path(sys.argv[1]), wait=False) is not None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is killed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_held_until_its_process_is_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert locks.take(tmp_path / "lock", wait=False) is None
    with holder:
        holder.kill()
    handle = locks.take(tmp_path / "lock", wait=False)
    assert handle is not None
    locks.release(handle)


def test_who_waits_gets_the_lock_in_the_end(tmp_path: Path) -> None:
    held = locks.take(tmp_path / "lock", wait=True)
    assert held is not None
    taken: list[int | None] = []
    thread = threading.Thread(target=lambda: taken.append(locks.take(tmp_path / "lock", wait=True)))
    thread.start()
    assert locks.take(tmp_path / "lock", wait=False) is None  # not twice in one process either
    locks.release(held)
    thread.join(60)
    assert taken[0] is not None
    locks.release(taken[0])


def test_a_fork_keeps_no_lock_that_was_let_go(tmp_path: Path) -> None:
    held = locks.take(tmp_path / "lock", wait=False)
    assert held is not None
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(read, 1)
        os._exit(0)
    locks.release(held)
    try:
        again = locks.take(tmp_path / "lock", wait=False)
        assert again is not None
        locks.release(again)
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)


def test_a_file_that_its_holder_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def removed_at_once(path: Path, *arguments: int) -> int:
        handle = opened(path, *arguments)
        path.unlink()
        return handle

    monkeypatch.setattr("os.open", removed_at_once)
    assert locks.take(tmp_path / "lock", wait=False) is None


def test_where_there_are_no_locks_or_no_file_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        locks.take(tmp_path / "none" / "lock", wait=False)
    monkeypatch.setattr("edgebert.locks.fcntl", None)
    with pytest.raises(OSError, match="Function not implemented"):
        locks.take(tmp_path / "lock", wait=False)
