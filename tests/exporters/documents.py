"""The code and the commands that documents show, to be run."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from edgebert.cli.main import main

ROOT = Path(__file__).parents[2]
# Four sub-networks of a head that is hardly trained.
QUICK = ("--widths", "0.5,1", "--depths", "0.5,1", "--epochs", "1", "--fine-tune-epochs", "1")


def read(name: str) -> str:
    """Return a document whose budgets are a thousand times larger: what this machine meets is for benchmarks to say."""
    return re.sub(r"(latency[-_]ms[ =]\d+)", r"\g<1>000", (ROOT / name).read_text(encoding="utf-8"))


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.strip()]


def follow(block: str, **more: Sequence[str]) -> None:
    """Run the commands of a block in this process, with more options by their verbs; profiles are quick ones.

    In processes of their own most of the time would go to loading torch and transformers.
    """
    for line in commands(block):
        _, verb, *words = shlex.split(line)
        assert main([verb, *words, *more.get(verb, ()), *(["--quick"] if verb == "profile" else [])]) == 0, line
