"""What the command line's tests share: running a command in this process, and a made-up profile."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgebert.cli.main import main
from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, profile_of_costs


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    def error(self, status: int) -> str:
        """Return the one line that a command printed which failed as it should."""
        assert (self.status, self.out) == (status, "")
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line

    def usage_error(self, verb: str) -> str:
        """Return the message of a command that was used wrongly; the verb's own usage comes before it."""
        assert (self.status, self.out) == (2, "")
        assert self.err.startswith(f"usage: edgebert {verb} [-h]".replace("  ", " "))
        return self.err.splitlines()[-1]


class Terminal(io.StringIO):
    """Standard input or output that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture
def edgebert(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command in this process: on a terminal, or with what is piped into it."""

    def run(*arguments: str, piped: str | None = None) -> Done:
        stdin = Terminal() if piped is None else io.TextIOWrapper(io.BytesIO(piped.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        try:
            status = main(arguments)
        except SystemExit as problem:
            status = int(problem.code or 0)
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def profile_file(builtin: Bundle, tmp_path: Path) -> str:
    """A made-up profile in which 128 tokens cost 40 and 10 ms, and shorter inputs less in proportion."""
    profile_of_costs(builtin, {BEST: 40.0, LEAST: 10.0}).save(tmp_path / "profile.json")
    return str(tmp_path / "profile.json")
