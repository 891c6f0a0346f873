"""The README's code and commands do what it says."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import QUICK, blocks, commands, follow, read

from edgebert.inputs.bundle import Bundle

README = read("README.md")
Make = Callable[..., Path]


@pytest.mark.parametrize("line", commands(blocks(README, "sh")[0]))
def test_the_commands_run(line: str) -> None:
    command = line.replace("edgebert ", f"{shlex.quote(sys.executable)} -m edgebert ")
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout != "") == (0, True), done.stderr


def test_the_code_runs_and_gives_what_it_says() -> None:
    """It finds the profile that the commands made, if they were run before."""
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


def test_data_of_ones_own_becomes_an_answer(
    make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint that never saw the task, and CSV files: the last command answers with the data's own labels."""
    monkeypatch.chdir(tmp_path)
    checkpoint = make_checkpoint("CHECKPOINT", num_labels=2)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    for split in ("train", "dev", "test"):
        Path(f"{split}.csv").write_text("text,label\n" + '"good, warm film",fine\nbad plot,poor\n' * 8)
    follow(blocks(README, "sh")[1], train=QUICK)
    assert Path("profile.json").is_file()
    assert capsys.readouterr().out.splitlines()[-1].split()[0] in ("fine", "poor")
    exec(blocks(README, "py")[0].replace("101, 2307, 2143, 102", "2, 3, 4, 5"), {})
    assert Path("SMALL", "model.safetensors").is_file()


def test_a_checkpoint_of_ones_own_is_brought(
    make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_checkpoint("CHECKPOINT", num_labels=2)
    for split in ("dev", "test"):
        Path(f"{split}.tsv").write_text("text\tlabel\ngood film\tLABEL_1\nbad plot\tLABEL_0\n")
    # One of the twelve is profiled.
    follow(blocks(README, "sh")[2], profile=("--subnets", "w0.25-d0.50-int8"))
    assert "w0.25-d0.50-int8 (dynabert) is the best within" in capsys.readouterr().out
