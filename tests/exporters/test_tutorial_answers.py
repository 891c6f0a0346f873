"""The commands and the code of docs/tutorials/answers.md do what they say, with checkpoints and data of toy size."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import Command, blocks, follow, read

Make = Callable[..., Path]


def test_questions_become_answers_and_pairs_scores(
    make_checkpoint: Make, tmp_path: Path, edgebert_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # toys are too small for several threads
    document = read("docs/tutorials/answers.md")
    config = make_checkpoint("CHECKPOINT", num_labels=1) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "architectures": ["BertModel"]}))
    (questions,) = blocks(document, "tsv")
    header, *rows = questions.splitlines()
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("\n".join([header, *rows * 4]) + "\n")
    pairs = ["query\tpassage\tlabel", "dinner\ttable for five\t1", "dinner\twarm film\t0", "plot\twarm film\t0.5"]
    (tmp_path / "pairs.tsv").write_text("\n".join([*pairs, *pairs[1:] * 4]) + "\n")

    making, answering, reranking = blocks(document, "sh")
    follow(making, tmp_path, edgebert_command)
    follow(answering, tmp_path, edgebert_command)
    answers = list(map(json.loads, (tmp_path / "answers.jsonl").read_text().splitlines()))
    assert [(one["text"], one["pair"]) for one in answers] == [tuple(row.split("\t")[:2]) for row in rows * 4]
    for one in answers:
        assert one["answer"] == one["pair"][one["start"] : one["end"]]

    (code,) = blocks(document, "python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" True\n")

    lines = follow(reranking, tmp_path, edgebert_command).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["relevance"] * 2
    assert lines[0].endswith("a table for dinner | Book a table for five.")
