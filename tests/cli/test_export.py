"""The verb `export`, which needs the libraries of exporting."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("onnx")

from random_models import random_bert, save

pytestmark = pytest.mark.full

Edgebert = Callable[..., Any]


def test_texts_without_labels_give_a_quality(edgebert: Edgebert, tmp_path: Path) -> None:
    """By fidelity; with `--bundle` as another spelling of `--out`."""
    checkpoint = save(random_bert(num_labels=1), tmp_path / "checkpoint")
    (tmp_path / "t.txt").write_text("good film\nbad plot\n")
    command = ["export", str(checkpoint), "--bundle", str(tmp_path / "b"), "--widths", "0.5,1", "--depths", "1"]
    table = edgebert(*command, "--texts", str(tmp_path / "t.txt"), "--task", "text-regression").out
    assert "(text-regression; labels LABEL_0)" in table
    assert "/t.txt (2 samples)" in table
    assert "\ntexts of more than 64 tokens are cut at their end, of a pair the longer one first\n" in table
    manifest = json.loads(edgebert("inspect", str(tmp_path / "b"), "--json").out)
    assert {one["quality"]["metric"] for one in manifest["subnetworks"]} == {"fidelity"}


def test_a_checkpoint_is_inspected(edgebert: Edgebert, tmp_path: Path) -> None:
    checkpoint = save(random_bert(num_labels=3), tmp_path / "checkpoint")
    lines = edgebert("inspect", str(checkpoint)).out.splitlines()
    assert lines[0].startswith(f"checkpoint {checkpoint}: bert, ")
    assert lines[1].endswith("labels LABEL_0, LABEL_1, LABEL_2")
    assert lines[2:] == ["can be exported", "not elastic"]
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "is_decoder": True}))
    lines = edgebert("inspect", str(checkpoint)).out.splitlines()
    assert lines[2].startswith("cannot be exported: ")
    assert "is_decoder true is not supported" in lines[2]
    assert "is_decoder" in json.loads(edgebert("inspect", str(checkpoint), "--json").out)["export_problem"]


def test_a_checkpoint_that_is_not_there_is_one_line_and_status_1(edgebert: Edgebert, tmp_path: Path) -> None:
    assert "nowhere" in edgebert("export", "nowhere", "--out", str(tmp_path / "b")).error(1)
