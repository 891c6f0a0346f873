"""The newer families with tokenizers like their own: texts and pairs are answered as by transformers."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import WORDS, random_classifier
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AlbertTokenizer,
    AutoTokenizer,
    DebertaV2Tokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerFast,
)

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
PIECES = [
    *string.ascii_lowercase,
    *string.digits,
    *".,!?",
    "\u2581film",
    "\u2581the",
    "\u2581good",
    "ing",
    "\u2581w",
    "arm",
]


def mpnet() -> Any:
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *WORDS]
    return MPNetTokenizer(vocab={word: number for number, word in enumerate(dict.fromkeys(words))})


def modernbert() -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *alphabet, "th", "the", "\u0120the"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=[("t", "h"), ("th", "e"), ("\u0120", "the")],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **special, model_input_names=["input_ids", "attention_mask"]
    )


def pieces(*special: str) -> list[tuple[str, float]]:
    return [(piece, -float(number)) for number, piece in enumerate([*special, "\u2581", *PIECES])]


def deberta() -> Any:
    return DebertaV2Tokenizer(vocab=pieces("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"))


def albert() -> Any:
    return AlbertTokenizer(vocab=pieces("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))


V3 = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "share_att_key": True}
MADE: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "mpnet": (mpnet, {"pad_token_id": 1}),
    "modernbert": (modernbert, {"local_attention": 10}),
    "deberta-v2": (deberta, {**V3, "position_biased_input": False, "norm_rel_ebd": "layer_norm"}),
    "albert": (albert, {"embedding_size": 16}),
}


@pytest.mark.parametrize("family", MADE)
def test_texts_and_pairs_are_answered_as_by_transformers(family: str, tmp_path: Path) -> None:
    make, config = MADE[family]
    tokenizer = make()
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    model = random_classifier(family, **{"vocab_size": len(tokenizer) + 2, **config})
    model.save_pretrained(tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", tmp_path / "bundle", precisions=["fp32"], max_length=MAX_LENGTH)

    theirs = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    with edgebert.load(bundle, subnet="full-fp32") as ours, torch.inference_mode():
        for text in (*TEXTS, *PAIRS):
            parts = text if isinstance(text, tuple) else (text,)
            logits = model(**theirs(*parts, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")).logits[0]
            found = {answer["label"]: answer["score"] for answer in ours(text, top_k=None)}
            assert [found[f"LABEL_{n}"] for n in range(3)] == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
