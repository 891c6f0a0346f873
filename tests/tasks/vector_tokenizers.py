"""Tokenizers of several kinds, and what they make of texts, for who has none of them."""

import functools
import json
from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from edgebert.inputs.bundle import BUILTIN
from edgebert.inputs.tokenization import Tokenizer

LENGTH = 24
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

Json = Any


def builtin_tokenizer() -> bytes:
    return (BUILTIN / "tokenizer.json").read_bytes()


def cased_tokenizer() -> bytes:
    """As BERT's, with case and accents, and a mask that takes the blanks before it."""
    pieces = ["Anna", "Ber", "##lin", "the", "film", "##s", "\u00e9", "##t\u00e9", "\U0001d49c", "##\U0001d4b7", "do"]
    letters = [*"abcdefghijklmnopqrstuvwxyz.,'!?-", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *pieces, *letters])}
    inner = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    inner.add_special_tokens([tokenizers.AddedToken("[MASK]", lstrip=True)])
    return _with_ends(inner)


def sentence_pieces() -> bytes:
    """A tokenizer to which the blank before a word is a part of it, also by its characters; without a decoder."""
    pieces = ["\u2581", "\u2581the", "\u2581film", "\u2581Anna", "s", "\u2581\u00e9t", "\u00e9", "\u6771", "\u2581New"]
    pieces += [*"abcdefghijklmnopqrstuvwxyz.,'!?"]
    scores = [(word, -1.0 - number / 10) for number, word in enumerate([*SPECIAL, *pieces])]
    inner = tokenizers.Tokenizer(models.Unigram(scores, unk_id=1))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    return _with_ends(inner)


def _with_ends(inner: tokenizers.Tokenizer) -> bytes:
    ends = [("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))]
    templates = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1"}
    inner.post_processor = processors.TemplateProcessing(**templates, special_tokens=ends)
    return inner.to_str().encode()


TOKENIZERS = {"builtin": builtin_tokenizer, "cased": cased_tokenizer, "sentence pieces": sentence_pieces}


@functools.cache
def tokenizer_of(name: str) -> Tokenizer:
    return Tokenizer(TOKENIZERS[name](), LENGTH)


def recorded(name: str, texts: Iterable[str]) -> Json:
    """Return what a tokenizer makes of texts, as who has no such tokenizer can play it again."""
    ours, library = tokenizer_of(name), tokenizers.Tokenizer.from_buffer(TOKENIZERS[name]())
    library.no_truncation()
    found, names = {}, {}
    for text in dict.fromkeys(texts):
        encoding = library.encode(text, add_special_tokens=False)
        offsets = [units(text, span) for span in encoding.offsets]
        found[text] = {"ids": encoding.ids, "offsets": offsets, "words": encoding.word_ids}
        names.update({str(token): ours.name_of(token) for token in encoding.ids})
    ends = {"single": _ends_of(library, "single"), "pair": _ends_of(library, "pair")}
    decoder = json.loads(library.to_str())["decoder"]
    marks = {"unknown": ours.unknown, "marks_inner_tokens": ours.marks_inner_tokens, "decoder": decoder}
    return {"name": name, "max_length": LENGTH, **marks, **ends, "texts": found, "names": names}


def _ends_of(library: tokenizers.Tokenizer, template: str) -> list[Json]:
    settings = json.loads(library.to_str())["post_processor"]
    kinds = {
        "Sequence": lambda one: one["id"],
        "SpecialToken": lambda one: settings["special_tokens"][one["id"]]["ids"][0],
    }
    pieces = [next(iter(piece.items())) for piece in settings[template]]
    return [{"token": kinds[kind](one), "type": one["type_id"]} for kind, one in pieces]


def units(text: str, span: tuple[int, int]) -> list[int]:
    """Return characters of a text as JavaScript counts them: in UTF-16 units."""
    return [len(text[:place].encode("utf-16-le")) // 2 for place in span]
