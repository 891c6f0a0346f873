import json
from pathlib import Path

import pytest
import tokenizers
from tokenizers import pre_tokenizers
from transformers import BertTokenizer, RobertaTokenizer

from edgebert.errors import ExportError
from edgebert.exporters.tokenizer import read_tokenizer

TEXTS = [
    "The PLOT, warm & good!",
    "b\u00e4d  film\n(x)",
    "film\u3000good 100%",
    "[MASK] good [SEP]",
    "\u6771 plot \u0000 x",
]
PAIRS = [("the film", "a plot"), ("good", "bad!")]


@pytest.mark.parametrize("lower_case", [True, False])
def test_a_vocabulary_becomes_transformers_tokenizer(checkpoint: Path, lower_case: bool) -> None:
    config = {"do_lower_case": lower_case, "tokenizer_class": "BertTokenizer"}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    ours = tokenizers.Tokenizer.from_buffer(read_tokenizer(checkpoint, 200))
    theirs = BertTokenizer.from_pretrained(checkpoint)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
    for pair in PAIRS:
        encoding, expected = ours.encode(*pair), theirs(*pair)
        assert (encoding.ids, encoding.type_ids) == (expected["input_ids"], expected["token_type_ids"])


def test_without_a_config_texts_are_lower_cased(checkpoint: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_buffer(read_tokenizer(checkpoint, 200))
    assert tokenizer.encode("FILM").tokens == ["[CLS]", "film", "[SEP]"]


def test_merges_become_transformers_roberta_tokenizer(tmp_path: Path) -> None:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "fi", "lm", "film", "\u0120film", "\u0120g"]
    (tmp_path / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nf i\nl m\nfi lm\n\u0120 film\n\u0120 g\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    ours = tokenizers.Tokenizer.from_buffer(read_tokenizer(tmp_path, len(words)))
    theirs = RobertaTokenizer.from_pretrained(tmp_path)
    for text in (*TEXTS, "a <mask> film", "film</s>", "  two  spaces "):
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
    for pair in PAIRS:
        assert ours.encode(*pair).ids == theirs(*pair)["input_ids"]


def test_truncation_and_padding_are_left_to_the_device(checkpoint: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_buffer(read_tokenizer(checkpoint, 200))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    read = tokenizers.Tokenizer.from_buffer(read_tokenizer(checkpoint, 200))
    assert len(read.encode("the good film the bad plot").ids) == 8


def test_a_tokenizer_of_another_model_is_refused(checkpoint: Path) -> None:
    with pytest.raises(
        ExportError, match=r"the tokenizer has tokens up to number \d+, the model 10 in all; use the tokenizer that"
    ):
        read_tokenizer(checkpoint, 10)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", "the tokenizer cannot be read: .*; download it again"),
        ("vocab.txt", "a\nb\n", r"expected \[CLS\], \[SEP\], \[UNK\]; it is not BERT's vocabulary"),
        (None, "", "expected tokenizer.json, vocab.txt, or vocab.json with merges.txt, found none; save the tokenizer"),
        ("spiece.model", "", "found spiece.model; save the tokenizer there with transformers"),
    ],
)
def test_a_bad_tokenizer_is_named(checkpoint: Path, name: str | None, content: str, message: str) -> None:
    (checkpoint / "vocab.txt").unlink()
    if name:
        (checkpoint / name).write_text(content)
    with pytest.raises(ExportError, match=message):
        read_tokenizer(checkpoint, 200)
