"""The README's code and commands do what it says."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Budgets are a thousand times larger here: whether this machine meets them is a question for benchmarks.
README = re.sub(
    r"(latency[-_]ms[ =]\d+)", r"\g<1>000", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
)
Make = Callable[..., Path]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.strip()]


def test_the_code_runs_and_gives_what_it_says() -> None:
    (code,) = blocks("python")
    printing = "\n".join(
        f"print({line.partition('#')[0].strip()})"
        if line.startswith("model") and "=" not in line.split("(")[0]
        else line
        for line in code.splitlines()
    )
    done = subprocess.run([sys.executable, "-c", printing], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second, chosen = done.stdout.splitlines()
    assert first.startswith("[{'label': 'positive', 'score': 0.99")
    assert second.count("label") == 2
    assert chosen.startswith("w1.00-d1.00-int8 ")


@pytest.mark.parametrize("line", commands(blocks("sh")[0]))
def test_the_commands_run(line: str) -> None:
    command = line.replace("edgebert ", f"{shlex.quote(sys.executable)} -m edgebert ")
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout != "") == (0, True), done.stderr


def test_a_checkpoint_of_ones_own_is_brought(make_checkpoint: Make, tmp_path: Path, edgebert_command: Command) -> None:
    make_checkpoint("CHECKPOINT", num_labels=2)
    for split in ("dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("text\tlabel\ngood film\tLABEL_1\nbad plot\tLABEL_0\n")
    for line in commands(blocks("sh")[1]):
        done = edgebert_command(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "profile.json").is_file()


def test_the_tree_names_every_file() -> None:
    root = Path(__file__).parents[2]
    for folder in ("edgebert", "exporters"):
        for path in (root / folder).glob("*.py"):
            assert path.name.startswith("__") or path.name in README
