"""The commands and the code of docs/tutorials/embeddings.md do what they say, with a model and data of toy size."""

from pathlib import Path

import numpy as np
import pytest
from documents import blocks, follow, read
from sentence_models import sentence_model


def test_a_folder_becomes_vectors_and_the_nearest_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = read("docs/tutorials/embeddings.md")
    sentence_model(Path("MODEL"))
    (pairs,) = blocks(document, "tsv")
    Path("pairs.tsv").write_text(pairs)
    sentences = [line.split("\t")[0] for line in pairs.splitlines()[1:]]
    texts = [f"{first} {second}".strip() for first in sentences for second in ("", *sentences)]
    Path("texts.txt").write_text("".join(f"{text}\n" for text in texts))

    training, making, answering, cutting = blocks(document, "sh")
    follow(training, train=("--widths", "0.5,1", "--depths", "0.5,1", "--epochs", "1", "--compute", "fp32"))
    follow(making)
    assert "is the best within" in capsys.readouterr().out
    follow(answering)
    assert len(Path("index.jsonl").read_text().splitlines()) == len(texts)

    (code,) = blocks(document, "python")
    capsys.readouterr()
    exec(code, {})
    *found, end = capsys.readouterr().out.splitlines()
    assert len(found) == 3
    assert end.endswith(" True")

    follow(cutting)
    np.testing.assert_allclose(np.linalg.norm(np.load("small.npy"), axis=1), 1, rtol=1e-5)
    assert np.load("small.npy").shape == (len(texts), 24)
