"""The newer families with tokenizers like their own: texts and pairs are answered as by transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family_checkpoints import MADE, family_checkpoint
from transformers import AutoTokenizer

import edgebert
from edgebert.exporters.build import export

MAX_LENGTH = 40
TEXTS: list[Any] = [
    "the good film!",
    "bad",
    "a warming   film, " * 30,
    "xyz \u00e9t\u00e9 9 <mask> [MASK]",
    "\u6771\u4eac",
]
PAIRS = [("good", "bad film"), ("the film " * 30, "bad, bad " * 20)]


@pytest.mark.parametrize("family", MADE)
def test_texts_and_pairs_are_answered_as_by_transformers(family: str, tmp_path: Path) -> None:
    model = family_checkpoint(family, tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", tmp_path / "bundle", precisions=["fp32"], max_length=MAX_LENGTH)

    theirs = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    with edgebert.load(bundle, subnet="full-fp32") as ours, torch.inference_mode():
        for text in (*TEXTS, *PAIRS):
            parts = text if isinstance(text, tuple) else (text,)
            logits = model(**theirs(*parts, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")).logits[0]
            found = {answer["label"]: answer["score"] for answer in ours(text, top_k=None)}
            assert [found[f"LABEL_{n}"] for n in range(3)] == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
