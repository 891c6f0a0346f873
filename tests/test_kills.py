"""A small share of `make kills`; that a training's checkpoint is put in place safely, tests/test_staging.py holds."""

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


@pytest.mark.parametrize("verb", [pytest.param("export", marks=pytest.mark.full), "profile", "predict"])
def test_what_a_kill_leaves_is_whole_and_the_next_run_leaves_nothing_else(verb: str, tmp_path: Path) -> None:
    command = [sys.executable, str(KILLS), verb, "5", str(tmp_path / "kills")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "nothing else was left" in done.stdout
