"""The newer families as tiny random checkpoints, with tokenizers like their own."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from random_models import WORDS, random_classifier
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AlbertTokenizer, DebertaV2Tokenizer, MPNetTokenizer, PreTrainedModel, PreTrainedTokenizerFast

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


def family_checkpoint(family: str, folder: Path) -> PreTrainedModel:
    """Save a random classifier of a family with its tokenizer, and return it."""
    make, config = MADE[family]
    tokenizer = make()
    tokenizer.save_pretrained(folder)
    model = random_classifier(family, **{"vocab_size": len(tokenizer) + 2, **config})
    model.save_pretrained(folder)
    return model
