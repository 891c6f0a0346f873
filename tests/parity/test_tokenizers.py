"""A bundle's tokens are those of transformers' AutoTokenizer, for whatever the files of a checkpoint say."""

from pathlib import Path

from seeded import find_differences
from tokenizer_folders import WORDS, write_folder
from transformers import AutoTokenizer

from edgebert.exporters.tokenizer import read_tokenizer
from edgebert.inputs.tokenization import Tokenizer

SHARE = 20
TEXTS = ["Films good!", "\u00e9 \u6771"]


def compare(seed: int, folder: Path) -> str | None:
    write_folder(seed, folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer(read_tokenizer(folder, len(WORDS)), 16)
    for text in TEXTS:
        found, expected = ours.encode(text).ids, theirs(text, truncation=True, max_length=16)["input_ids"]
        if found != expected:
            return f"{text!r}: {found} where transformers has {expected}"
    return None


def test_tokens_are_those_of_transformers(seeds: range, tmp_path: Path) -> None:
    assert find_differences(seeds, compare, tmp_path) == {}
