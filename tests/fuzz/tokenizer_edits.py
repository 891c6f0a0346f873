"""Edits of tokenizer.json: parts of the library that BERT's do not use, patterns that explode, odd numbers."""

import json
from random import Random
from typing import Any

from fuzz.edits import Arguments, Edit

_EXPLODING = "(a+)+$|(\\w|\\w\\w)*!|(.*)*x"
_PARTS = {
    "normalizer": (
        None,
        {"type": "Sequence", "normalizers": []},
        {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": _EXPLODING}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": "(("}, "content": ""},
        {"type": "Replace", "pattern": {"String": ""}, "content": "x"},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100_000},
        {"type": "Prepend", "prepend": "▁" * 1000},
        {"type": "Precompiled", "precompiled_charsmap": ""},
        {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAA="},
        {"type": "Precompiled", "precompiled_charsmap": "/////w=="},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "ByteLevel"},
        {"type": "Unknown"},
    ),
    "pre_tokenizer": (
        None,
        {"type": "Split", "pattern": {"Regex": _EXPLODING}, "behavior": "Isolated", "invert": False},
        {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Removed", "invert": True},
        {"type": "Split", "pattern": {"String": ""}, "behavior": "MergedWithNext", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "FixedLength", "length": 0},
        {"type": "FixedLength", "length": 2**40},
        {"type": "UnicodeScripts"},
        {"type": "CharDelimiterSplit", "delimiter": " "},
    ),
    "model": (
        {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "missing"},
        {"type": "WordLevel", "vocab": {}, "unk_token": ""},
        {"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]], "byte_fallback": False},
        {"type": "Unigram", "unk_id": None, "vocab": [["a", -1e308], ["", 0.0]], "byte_fallback": True},
        {"type": "Unigram", "unk_id": 0, "vocab": [], "byte_fallback": False},
        {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]},
        {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"], ["ab", "ab"]], "dropout": 0.5},
        {"type": "BPE", "vocab": {"a": 4294967295}, "merges": [], "unk_token": "zz", "fuse_unk": True},
        {
            "type": "WordPiece",
            "vocab": {"[UNK]": 0},
            "unk_token": "no",
            "continuing_subword_prefix": "",
            "max_input_chars_per_word": 0,
        },
    ),
    "padding": (
        {
            "strategy": {"Fixed": 2**40},
            "direction": "Left",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": 0,
            "pad_id": 4294967295,
            "pad_type_id": 9,
            "pad_token": "",
        },
        {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": 2**50,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "x",
        },
    ),
    "truncation": (
        {"direction": "Left", "max_length": 0, "strategy": "LongestFirst", "stride": 0},
        {"direction": "Right", "max_length": 2, "strategy": "OnlySecond", "stride": 5},
        {"direction": "Right", "max_length": 2**63, "strategy": "OnlyFirst", "stride": 2**62},
    ),
    "post_processor": (
        None,
        {"type": "Sequence", "processors": []},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "BertProcessing", "sep": ["[SEP]", 4294967295], "cls": ["[CLS]", 9999999]},
        {"type": "RobertaProcessing", "sep": ["", 0], "cls": ["", 0], "trim_offsets": True, "add_prefix_space": True},
        {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
        {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 3000,
            "pair": [],
            "special_tokens": {},
        },
        {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "no", "type_id": 0}}],
            "pair": [],
            "special_tokens": {},
        },
        {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "B", "type_id": 4294967295}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 7}}],
            "special_tokens": {},
        },
    ),
    "added_tokens": (
        [],
        [
            {
                "id": 4294967295,
                "content": "a",
                "single_word": False,
                "lstrip": True,
                "rstrip": True,
                "normalized": True,
                "special": False,
            }
        ],
        [
            {
                "id": 3,
                "content": "",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        [
            {
                "id": 1,
                "content": "film",
                "single_word": True,
                "lstrip": True,
                "rstrip": True,
                "normalized": True,
                "special": True,
            }
        ]
        * 2,
        [
            {
                "id": 2**40,
                "content": "x",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
    ),
    "decoder": (None, {"type": "Fuse"}, {"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": True}),
    "version": ("2.0", 1, None),
}


def _propose(random: Random, content: bytes) -> Arguments:
    part = random.choice(sorted(_PARTS))
    return [part, random.randrange(len(_PARTS[part]))]


def _change(content: bytes, change: Any) -> bytes:
    try:
        tree = json.loads(content)
        change(tree)
        return json.dumps(tree).encode()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
        return content  # an earlier step left no tokenizer


def _part(content: bytes, part: str, which: int) -> bytes:
    return _change(content, lambda tree: tree.update({part: _PARTS[part][which]}))


def _deep(content: bytes, part: str, depth: int) -> bytes:
    """Put sequences of one member into each other."""
    key = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}[part]

    def change(tree: Any) -> None:
        for _ in range(depth):
            tree[part] = {"type": "Sequence", key: [tree[part]]}

    return _change(content, change)


def _vocabulary(content: bytes, how: str) -> bytes:
    def change(tree: Any) -> None:
        words = tree["model"]["vocab"]
        first, last = next(iter(words), ""), next(reversed(words), "")
        if how == "huge":
            words[last] = 4_294_967_295
        elif how == "negative":
            words[last] = -1
        elif how == "twice":
            words[last] = words.get(first, 0)
        elif how == "beyond":
            words.update({word: number + 100_000 for word, number in words.items()})
        elif how == "shifted":
            words.update({word: number + 1 for word, number in words.items()})
        elif how == "empty":
            words.clear()
        else:
            words["w" * 1_000_000] = len(words)

    return _change(content, change)


_WAYS = ("huge", "negative", "twice", "beyond", "shifted", "empty", "long")
_SEQUENCES = ("normalizer", "pre_tokenizer", "post_processor")

TOKENIZER_EDITS = {
    "part": Edit(_propose, _part),
    "deep": Edit(lambda r, c: [r.choice(_SEQUENCES), r.choice((2, 30, 60, 130, 300))], _deep),
    "vocabulary": Edit(lambda r, c: [r.choice(_WAYS)], _vocabulary),
}
