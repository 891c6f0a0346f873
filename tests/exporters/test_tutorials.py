"""The commands and the code of docs/tutorials do what they say, with checkpoints and data of toy size."""

import json
from pathlib import Path

import pytest
from documents import blocks, commands, follow, read
from random_models import random_bert, save

from edgebert.cli.main import main

QUICK = (
    "--widths",
    "1",
    "--depths",
    "1",
    "--epochs",
    "1",
    "--fine-tune-epochs",
    "40",
    "--fine-tune-learning-rate",
    "5e-3",
)


def test_tagged_sentences_become_entities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = read("docs/tutorials/tags.md")
    save(random_bert().bert, tmp_path / "CHECKPOINT")
    (sentences,) = blocks(document, "conll")
    for split in ("train", "dev", "test"):
        Path(f"{split}.conll").write_text(f"{sentences}\n" * 8)

    making, answering = blocks(document, "sh")
    follow(making, train=QUICK)
    assert Path("profile.json").is_file()
    follow(answering)
    answers = list(map(json.loads, Path("answers.jsonl").read_text().splitlines()))
    assert [one["text"] for one in answers[:2]] == ["Anna Smith lives in Berlin .", "Berlin is big ."]
    assert len(answers) == 16
    follow(commands(answering)[-1])  # once more, which has nothing to do
    assert list(map(json.loads, Path("answers.jsonl").read_text().splitlines())) == answers

    capsys.readouterr()
    words = ("--aggregation-strategy", "simple", "--stride", "2", "--ignore-labels", "", "--json")
    assert main(["predict", "Berlin", "--bundle", "BUNDLE", *words]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert [list(one) for one in found] == [["entity_group", "score", "word", "start", "end"]] * len(found)

    (code,) = blocks(document, "python")
    capsys.readouterr()
    exec(code, {})
    # Eight times the same two sentences are learnt by heart.
    printed = [line.rpartition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == ["PER Anna Smith", "LOC Berlin"]
