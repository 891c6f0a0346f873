"""The code and the commands that documents show, to be run."""

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from edgebert.cli.main import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    """Return a document whose budgets are a thousand times larger: what this machine meets is for benchmarks to say."""
    return re.sub(r"(latency[-_]ms[ =]\d+)", r"\g<1>000", (ROOT / name).read_text(encoding="utf-8"))


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.strip()]


def follow(block: str, folder: Path, edgebert_command: Command) -> str:
    """Run the commands of a block in a folder and return what the last one printed; profiles are quick ones."""
    for line in commands(block):
        _, verb, *words = shlex.split(line)
        done = edgebert_command(verb, *words, *(["--quick"] if verb == "profile" else []), cwd=folder)
        assert done.returncode == 0, done.stderr
    return str(done.stdout)


def follow_here(block: str, **more: Sequence[str]) -> None:
    """Run the commands of a block in this process, with more options by their verbs; profiles are quick ones."""
    for line in commands(block):
        _, verb, *words = shlex.split(line)
        assert main([verb, *words, *more.get(verb, ()), *(["--quick"] if verb == "profile" else [])]) == 0, line
