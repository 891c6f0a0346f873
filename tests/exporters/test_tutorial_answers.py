"""The commands and the code of docs/tutorials/answers.md do what they say, with checkpoints and data of toy size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import QUICK, blocks, follow, read

Make = Callable[..., Path]


def test_questions_become_answers_and_pairs_scores(
    make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = read("docs/tutorials/answers.md")
    config = make_checkpoint("CHECKPOINT", num_labels=1) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "architectures": ["BertModel"]}))
    (questions,) = blocks(document, "tsv")
    header, *rows = questions.splitlines()
    for split in ("train", "dev", "test"):
        Path(f"{split}.tsv").write_text("\n".join([header, *rows * 4]) + "\n")
    pairs = ["query\tpassage\tlabel", "dinner\ttable for five\t1", "dinner\twarm film\t0", "plot\twarm film\t0.5"]
    Path("pairs.tsv").write_text("\n".join([*pairs, *pairs[1:] * 4]) + "\n")

    making, answering, reranking = blocks(document, "sh")
    follow(making, train=QUICK)
    follow(answering)
    answers = list(map(json.loads, Path("answers.jsonl").read_text().splitlines()))
    assert [(one["text"], one["pair"]) for one in answers] == [tuple(row.split("\t")[:2]) for row in rows * 4]
    for one in answers:
        assert one["answer"] == one["pair"][one["start"] : one["end"]]

    (code,) = blocks(document, "python")
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out.endswith(" True\n")

    follow(reranking, train=QUICK)
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split("\t")[0] for line in lines] == ["relevance"] * 2
    assert lines[0].endswith("a table for dinner | Book a table for five.")
