import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, RobertaTokenizer

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.tokenizer import CheckpointTokenizer, difference, read_tokenizer
from edgebert.inputs.tokenization import Tokenizer

# tests/parity compares generated folders: here stands what is particular.


def read(checkpoint: Path, vocabulary: int = 200) -> CheckpointTokenizer:
    """Read the tokenizer of a checkpoint as if its model had so many tokens."""
    source = read_checkpoint(checkpoint)
    return read_tokenizer(replace(source, sizes=replace(source.sizes, vocabulary=vocabulary)))


def write_config(checkpoint: Path, **settings: object) -> None:
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings))


def tokens_of(checkpoint: Path, text: str) -> list[str]:
    return tokenizers.Tokenizer.from_buffer(read(checkpoint).content).encode(text).tokens


def test_without_a_config_texts_are_lower_cased(checkpoint: Path) -> None:
    assert tokens_of(checkpoint, "FILM") == ["[CLS]", "film", "[SEP]"]


@pytest.mark.parametrize(
    ("settings", "text", "tokens"),
    [
        ({"do_lower_case": False}, "film FILM", ["film", "[UNK]"]),
        ({"strip_accents": False}, "b\u00e4d", ["[UNK]"]),
        ({"do_lower_case": False, "strip_accents": True}, "b\u00e4d", ["bad"]),
        ({"tokenize_chinese_chars": False}, "\u6771film", ["[UNK]"]),
        ({"unk_token": "x"}, "\u6771 film", ["x", "film"]),
    ],
)
def test_the_settings_of_a_vocabulary_are_kept(
    checkpoint: Path, settings: dict[str, object], text: str, tokens: list[str]
) -> None:
    write_config(checkpoint, **settings)
    assert tokens_of(checkpoint, text)[1:-1] == tokens


def test_added_tokens_beside_a_vocabulary_are_read(checkpoint: Path) -> None:
    (checkpoint / "added_tokens.json").write_text('{"warm plot": 83}')
    assert "warm plot" in tokens_of(checkpoint, "a warm plot")


def test_added_tokens_that_are_one_to_the_normalizer_are_refused(checkpoint: Path) -> None:
    (checkpoint / "added_tokens.json").write_text('{"covid": 83, "Covid": 84}')
    with pytest.raises(
        ExportError, match=r"added tokens 'covid' and 'Covid' are the same to its normalizer; leave one"
    ):
        read(checkpoint)


@pytest.mark.parametrize(("name", "wins"), [("BertTokenizerFast", True), ("PreTrainedTokenizerFast", False)])
def test_the_class_decides_whether_the_config_or_tokenizer_json_wins(checkpoint: Path, name: str, wins: bool) -> None:
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(checkpoint)
    write_config(checkpoint, tokenizer_class=name, do_lower_case=False)
    assert tokens_of(checkpoint, "FILM") == ["[CLS]", "[UNK]" if wins else "film", "[SEP]"]


@pytest.fixture
def merges(checkpoint: Path) -> Path:
    """A BERT with RoBERTa's tokenizer, as a released Bort is."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "fi", "lm", "film", "\u0120film", "\u0120g"]
    (checkpoint / "vocab.txt").unlink()
    (checkpoint / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (checkpoint / "merges.txt").write_text("#version: 0.2\nf i\nl m\nfi lm\n\u0120 film\n\u0120 g\n", encoding="utf-8")
    return checkpoint


@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True}])
def test_a_bort_has_robertas_tokenizer(merges: Path, settings: dict[str, object]) -> None:
    write_config(merges, **settings)
    ours = Tokenizer(read(merges, 400).content, 64)
    theirs = RobertaTokenizer.from_pretrained(merges)
    for text in ("film good", "a <mask> film", "a <pad> film</s>", "  two  spaces ", "b\u00e4d\u3000\u6771"):
        assert ours.encode(text).ids == theirs(text)["input_ids"], text


def test_truncation_and_padding_of_a_tokenizer_json_are_left_to_the_device(checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint).backend_tokenizer
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    written = tokenizers.Tokenizer.from_buffer(read(checkpoint).cut_at(10))
    assert len(written.encode("the good film the bad plot").ids) == 8
    assert len(written.encode("the good film the bad plot " * 2).ids) == 10
    assert written.padding is None


@pytest.mark.parametrize(("side", "kept"), [("left", ["bad", "plot"]), ("right", ["the", "good"])])
def test_texts_are_cut_on_the_checkpoints_side(checkpoint: Path, side: str, kept: list[str]) -> None:
    write_config(checkpoint, truncation_side=side)
    found = read(checkpoint)
    words = tokenizers.Tokenizer.from_buffer(found.content)
    ids = Tokenizer(found.cut_at(4), 4).encode("the good film the bad plot").ids
    assert [words.id_to_token(number) for number in ids] == ["[CLS]", *kept, "[SEP]"]


def test_how_many_tokens_are_kept_is_read(checkpoint: Path) -> None:
    assert read(checkpoint).max_length is None
    write_config(checkpoint, model_max_length=48)
    assert read(checkpoint).max_length == 48


@pytest.mark.parametrize(
    ("settings", "given"),
    [({}, True), ({"tokenizer_class": "DistilBertTokenizer"}, False), ({"model_input_names": ["input_ids"]}, False)],
)
def test_types_are_given_where_transformers_gives_them(
    checkpoint: Path, settings: dict[str, object], given: bool
) -> None:
    write_config(checkpoint, **settings)
    assert read(checkpoint).gives_types is given


def test_a_tokenizer_of_another_model_is_refused(checkpoint: Path) -> None:
    with pytest.raises(
        ExportError, match=r"the tokenizer has tokens up to number \d+, the model 10 in all; use the tokenizer that"
    ):
        read(checkpoint, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split_special_tokens": True}, "the tokenizer's split_special_tokens is not supported; save it without that"),
        ({"padding_side": "left"}, "the tokenizer's padding_side 'left' is not supported"),
        ({"tokenizer_class": "BertTokenizerLegacy"}, "the tokenizer's class BertTokenizerLegacy is not supported"),
        ({"unk_token": "none"}, r"the tokenizer has tokens up to number|cannot read texts"),
        ({"tokenizer_class": "RobertaTokenizer"}, r"expected tokenizer.json or vocab.json with merges.txt for Roberta"),
    ],
)
def test_what_a_device_cannot_follow_is_refused(checkpoint: Path, settings: dict[str, object], message: str) -> None:
    write_config(checkpoint, **settings)
    with pytest.raises(ExportError, match=message) as refusal:
        read(checkpoint, 105)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", "the tokenizer cannot be read: .*; download it again"),
        ("tokenizer_config.json", "[]", "the tokenizer cannot be read: .*; download it again"),
        ("vocab.txt", "a\nb\n", "the tokenizer has tokens up to number|cannot be read|cannot read texts"),
        (None, "", "expected tokenizer.json or vocab.txt for BertTokenizer, found none; save the tokenizer"),
        ("spiece.model", "", "expected tokenizer.json or vocab.txt for BertTokenizer, found spiece.model; save the"),
    ],
)
def test_a_bad_tokenizer_is_named(checkpoint: Path, name: str | None, content: str, message: str) -> None:
    (checkpoint / "vocab.txt").unlink()
    if name:
        (checkpoint / name).write_text(content)
    with pytest.raises(ExportError, match=message):
        read(checkpoint, 8)


def test_a_piece_that_would_end_the_process_is_refused(checkpoint: Path) -> None:
    pieces = [["<unk>", 0.0], ["\\" * 10 + "b" * 1_000_000, -1.0]]
    content = {"version": "1.0", "added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces}}
    (checkpoint / "tokenizer.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(ExportError, match="expected pieces of words of at most 50,000 characters"):
        read_tokenizer(read_checkpoint(checkpoint))


def test_the_side_on_which_texts_are_cut_is_a_difference(checkpoint: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    write_config(other, truncation_side="left")
    found = difference(read(checkpoint).content, read(other).content)
    assert found == "truncation_side left where that has right"
    assert difference(read(checkpoint).content, read(checkpoint).content) is None
