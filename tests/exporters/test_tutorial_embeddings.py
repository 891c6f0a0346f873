"""The commands and the code of docs/tutorials/embeddings.md do what they say, with a model and data of toy size."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import Command, blocks, follow, follow_here, read
from sentence_models import sentence_model


def test_a_folder_becomes_vectors_and_the_nearest_of_them(
    tmp_path: Path, edgebert_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = read("docs/tutorials/embeddings.md")
    sentence_model(tmp_path / "MODEL")
    (pairs,) = blocks(document, "tsv")
    (tmp_path / "pairs.tsv").write_text(pairs)
    sentences = [line.split("\t")[0] for line in pairs.splitlines()[1:]]
    texts = [f"{first} {second}".strip() for first in sentences for second in ("", *sentences)]
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in texts))

    training, making, answering, cutting = blocks(document, "sh")
    monkeypatch.chdir(tmp_path)
    follow_here(training, train=("--epochs", "1", "--compute", "fp32"))
    assert "is the best within" in follow(making, tmp_path, edgebert_command)
    follow(answering, tmp_path, edgebert_command)
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == len(texts)

    (code,) = blocks(document, "python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *found, end = done.stdout.splitlines()
    assert len(found) == 3
    assert end.endswith(" True")

    follow(cutting, tmp_path, edgebert_command)
    np.testing.assert_allclose(np.linalg.norm(np.load(tmp_path / "small.npy"), axis=1), 1, rtol=1e-5)
    assert np.load(tmp_path / "small.npy").shape == (len(texts), 24)
