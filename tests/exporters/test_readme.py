"""The README's code and commands do what it says."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import Command, blocks, commands, follow, read

from edgebert.inputs.bundle import Bundle

README = read("README.md")
Make = Callable[..., Path]


def test_the_code_runs_and_gives_what_it_says() -> None:
    (code,) = blocks(README, "python")
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
    qualities = Bundle.load().manifest.qualities
    assert qualities[chosen.split()[0]] == max(qualities.values())


@pytest.mark.parametrize("line", commands(blocks(README, "sh")[0]))
def test_the_commands_run(line: str) -> None:
    command = line.replace("edgebert ", f"{shlex.quote(sys.executable)} -m edgebert ")
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout != "") == (0, True), done.stderr


def test_data_of_ones_own_becomes_an_answer(make_checkpoint: Make, tmp_path: Path, edgebert_command: Command) -> None:
    """A checkpoint that never saw the task, and CSV files: the last command answers with the data's own labels."""
    checkpoint = make_checkpoint("CHECKPOINT", num_labels=2)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.csv").write_text("text,label\n" + '"good, warm film",fine\nbad plot,poor\n' * 8)
    answer = follow(blocks(README, "sh")[1], tmp_path, edgebert_command)
    assert (tmp_path / "profile.json").is_file()
    assert answer.split()[0] in ("fine", "poor")
    code = blocks(README, "py")[0].replace("101, 2307, 2143, 102", "2, 3, 4, 5")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "SMALL" / "model.safetensors").is_file()


def test_a_checkpoint_of_ones_own_is_brought(make_checkpoint: Make, tmp_path: Path, edgebert_command: Command) -> None:
    make_checkpoint("CHECKPOINT", num_labels=2)
    for split in ("dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("text\tlabel\ngood film\tLABEL_1\nbad plot\tLABEL_0\n")
    assert "is the best within" in follow(blocks(README, "sh")[2], tmp_path, edgebert_command)
