"""What texts of all kinds become as tokens: what the JavaScript side is compared with.

`PYTHONPATH=. python tests/token_vectors.py WHAT`, where WHAT is

* `write`: writes a few texts to js/test/vectors/tokens.json, which tests of both sides read;
* `texts`: prints some hundred texts, of the same form, for js/test/word-piece.test.js;
* `code-points`: prints what BERT's normalizer and pre-tokenizer make of every character, for js/test/unicode.test.js.
"""

import functools
import json
import random
import string
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import BUILTIN
from edgebert.inputs.tokenization import Text, Tokenizer

FILE = Path(__file__).parents[1] / "js" / "test" / "vectors" / "tokens.json"
LENGTHS = (5, 8, 16, 17, 128)

Json = Any


def added(*contents: str, **settings: bool) -> list[Json]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False) | settings
    return [{"content": content, **flags} for content in contents]


def ends(template: str) -> list[Json]:
    """Return a template of a post-processor: texts are named A and B, types stand behind a colon."""
    parts = [part.partition(":") for part in template.split()]
    kinds = {True: "Sequence", False: "SpecialToken"}
    return [{kinds[name in "AB"]: {"id": name, "type_id": int(number or 0)}} for name, _, number in parts]


SPECIAL = {"[CLS]": [101], "[SEP]": [102], "[ENDS]": [102, 103]}
# With some beyond U+FFFF, of which the built-in vocabulary has none.
LETTERS = {
    **{"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103},
    **{"a": 1, "##a": 2, "\U00010428": 3, "##\U00010428": 4, "\U00010429\U00010428": 5},
}
# What is changed in the tokenizer.json of the built-in bundle.
CHANGES: dict[str, Json] = {
    "as it is": {},
    "cased": {"normalizer": {"lowercase": False}},
    "with accents": {"normalizer": {"strip_accents": False}},
    "cased, without accents": {"normalizer": {"lowercase": False, "strip_accents": True}},
    "no chinese": {"normalizer": {"handle_chinese_chars": False}},
    "not cleaned": {"normalizer": {"clean_text": False}},
    "short words": {"model": {"max_input_chars_per_word": 4, "unk_token": "[MASK]"}},
    "four letters": {"model": {"max_input_chars_per_word": 4, "vocab": LETTERS}},
    "no prefix": {"model": {"continuing_subword_prefix": ""}},
    "cut at the left": {"truncation": {"direction": "Left"}},
    "BertProcessing": {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}},
    "ends last": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": ends("A [ENDS] [CLS]:2"),
            "pair": ends("B:1 [SEP]:1 A [ENDS] [CLS]:2"),
            "special_tokens": {name: {"id": name, "ids": ids, "tokens": [name]} for name, ids in SPECIAL.items()},
        }
    },
    "added tokens": {
        "added_tokens": [
            *added("covid", "N\u00c9W york", "covid-19", "a.b*c", "\u6771x", normalized=True),
            *added("ing", "\u4eac", normalized=True, single_word=True),
            *added("film", "\u00e9t\u00e9", single_word=True),
            *added("<m>", special=True, lstrip=True),
            *added("</m>", special=True, rstrip=True),
            *added("<b>", normalized=True, lstrip=True, rstrip=True),
            *added("[SEP][SEP]", "\U0001f600", special=True),
        ]
    },
}

WORDS = (
    *("the", "film", "great", "unbelievably", "embeddings", "antidisestablishmentarianism", "don't", "U.S.A."),
    *("3.14",),
    *("caf\u00e9", "cafe\u0301", "NA\u00cfVE", "\u0130stanbul", "stra\u00dfe", "\u1e9e"),
    *("\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3", "\u01c5", "\ufb01sh"),
    *("\u6771\u4eac", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab"),
    *("\u3053\u3093\u306b\u3061\u306f", "\u30ab\u3099", "\uf900", "\U00020000", "\U0002f800", "\U0002b820"),
    *("\u0645\u0631\u062d\u0628\u0627", "\u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f"),
    *("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u200fabc\u200e", "\u202eabc\u202c", "\u061c\u0661\u0662\u0663"),
    *("\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0ba8\u0bbf"),
    *("\u1019\u103c\u1014\u103a\u1019\u102c", "\u0f56\u0f7c\u0f51", "\u17a2\u1780\u17d2\u179f\u179a"),
    *("\u041f\u0440\u0438\u0432\u0435\u0442", "\u0451\u0436", "\u0419", "\u10d2\u10d0\u10db", "\u1c92"),
    *("\u0531\u0580\u0587", "\u13a0\uab70", "\U00010400", "\u0110\u1eb7ng", "\u1ea4\u0323"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea"),
    *("\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001d400\U0001d7d8"),
    *("https://example.org/a?b=c&d=%20#e", "me@example.org", "#tag", "@name", "C++", "a_b", "$9.99", "1,000"),
    *("\u00bd", "\u2460", "\u2116"),
    *("x" * 99, "x" * 100, "x" * 101, "\u00e9" * 100, "\U0001f600" * 101, "e" * 5 + "\u0301" * 200, "ab" * 300),
    *("[SEP]", "[CLS]", "[PAD]", "[MASK]", "[sep]", "[SEP][SEP]", "[[SEP]]", "x[UNK]y", "##ing", "[unused1]"),
    *("[ SEP ]",),
    *("covid", "COVID-19", "new york", "N\u00e9w York", "a.b*c", "A.B*C", "\u6771X", "ing", "ING", "film", "films"),
    *("\u00e9t\u00e9",),
    *("<m>", "</m>", "<b>", " <m> ", " </m>\u00a0 ", "\t<B>\n", "<m></m>", "\u4eac"),
    *("\x00", "\ufffd", "\x7f", "\x85", "\x0b", "\u00ad", "\u200b", "\u200d", "\ufeff", "\u180e", "\ue000"),
    *("\U000f0000", "\u0378"),
    *("\u00a0", "\u3000", "\u2028", "\u2003", "\r\n", "\t", "  ", "\u1680"),
    *("\u2014", "\u2026", "\u00ab\u00bb", "\u3002", "\u061f", "\u0964", "``''", "^~|`", "\u00a7", "\u20ac", "\u2192"),
    *("\U00010100",),
    *("\u0301", "\u0345", "\u20dd", "\u093e", "\u0308\u0323", "q\u0323\u0307", "q\u0307\u0323"),
    *("\u1ab0", "\u0816"),
)
REFUSED = ("", "  \n\t", "\u00a0\u3000", "caf\ud83d", "\udce9", ("a", ""), ("\ud83d\u0020\ude00", "b"))
ADDED_TOKENS = (
    "The N\u00e9w York-based, \u6771x\u4eac FILMING; film\x07 of COVID-19 \u00c9t\u00e9 <m> a</m> b <B> \U0001f600ing"
)
FEW: tuple[tuple[str, int, Text], ...] = (
    ("as it is", 128, "A warm, funny film: 2 of 5 stars, I want my $39.99 back!"),
    (
        "as it is",
        128,
        "\u00c4rger, cafe\u0301, \u6771\u4eac and \ud55c\uad6d\uc5b4 \U0001f468\u200d\U0001f469 \U0001f600!\U00020000x",
    ),
    ("as it is", 128, "no\x00 \ufffdcontrol\u200b\x0bs, but\u2028\u00a0blanks\u3000[SEP] [sep] ##ing [UNK]x"),
    ("as it is", 128, "x" * 100 + " " + "x" * 101 + " " + "\U0001f600" * 101 + " e" + "\u0301" * 200),
    (
        "as it is",
        128,
        "\u0130\u0130 \u1e9e \u03a3\u0391\u03a3 \u01c5 \ufb01 \u1734\u166d\U000111c9 \u08d3a\u0300 \U0001e944\u2e45",
    ),
    ("as it is", 128, "\u200b\u00ad"),  # two tokens, neither of them a text's
    ("as it is", 128, ("who came?", "five adults & a child")),
    ("as it is", 7, ("one two three four", "five six seven eight")),
    ("as it is", 8, ("one two three four", "five six seven eight nine")),
    ("as it is", 8, ("one two three four five", "six seven eight nine")),
    ("as it is", 8, ("one", "two three four five six")),
    ("as it is", 8, ("one two three four five", "six")),
    ("as it is", 5, "one two three four"),
    ("cut at the left", 5, "one two three four five six"),
    ("four letters", 128, "\U00010428\U00010428a\U00010428 \U00010400a \U00010401\U00010400a aaaaa \U00010428aaaa"),
    ("added tokens", 128, "a</m> <m>b <m></m> "),
)


def read(name: str) -> bytes:
    """Return the built-in tokenizer.json with some of its parts changed."""
    return json.dumps(changed(json.loads((BUILTIN / "tokenizer.json").read_bytes()), CHANGES[name])).encode()


def changed(file: Json, changes: Json) -> Json:
    """Return a tokenizer.json with changes: keys of its parts, another post-processor, and more added tokens."""
    parts = {part: {**file[part], **keys} for part, keys in changes.items() if part not in ("added_tokens",)}
    if "post_processor" in changes:
        parts["post_processor"] = changes["post_processor"]
    more = changes.get("added_tokens", [])
    size = len(file["model"]["vocab"])
    fresh = [one["content"] for one in more if one["content"] not in file["model"]["vocab"]]
    ids = {**file["model"]["vocab"], **{content: size + place for place, content in enumerate(fresh)}}
    numbered = [{"id": ids[one["content"]], **one} for one in more]
    return {**file, **parts, "added_tokens": [*file["added_tokens"], *numbered]}


@functools.cache
def tokenizer(name: str, max_length: int) -> Tokenizer:
    return Tokenizer(read(name), max_length)


@functools.cache
def library(name: str) -> tokenizers.Tokenizer:
    found = tokenizers.Tokenizer.from_buffer(read(name))
    found.no_truncation()
    return found


def units(text: str) -> list[int]:
    """Return for each place in a text how many UTF-16 units are before it."""
    found = [0]
    for character in text:
        found.append(found[-1] + (2 if character > "\uffff" else 1))
    return found


def expected(name: str, max_length: int, text: Text) -> Json:
    """Return the tokens of a text, of one by itself also uncut with places and words; or why it is refused."""
    ours = tokenizer(name, max_length)
    try:
        tokens = ours.encode(text)
    except EdgeBertError as refusal:
        return {"refused": str(refusal)}
    found = {"ids": list(tokens.ids), "types": list(tokens.types)}
    if not isinstance(text, str):
        return found
    places, whole = units(text), library(name).encode(text, add_special_tokens=False)
    offsets = [[places[start], places[end]] for start, end in whole.offsets]
    located = [span and [places[span[0]], places[span[1]]] for span in ours.located(text).offsets]
    return {**found, "offsets": located, "pieces": {"ids": whole.ids, "offsets": offsets, "words": whole.word_ids}}


def case(name: str, max_length: int, text: Text) -> Json:
    return {"tokenizer": name, "max_length": max_length, "text": text, **expected(name, max_length, text)}


def few() -> Iterator[Json]:
    """Yield the cases that both sides read: what each change changes, cuts, and refusals."""
    for one in FEW:
        yield case(*one)
    for name in CHANGES:
        yield case(name, 128, ADDED_TOKENS)
        yield case(name, 8, ("Covid <m>a.b*c\u6771", "a [SEP][SEP] \u00e9t\u00e9 ing"))
    for text in REFUSED:
        yield case("as it is", 128, text)


def many() -> Iterator[Json]:
    """Yield cases of random texts of words and characters, for all tokenizers and lengths."""
    generator = random.Random(17)
    for number in range(400):
        texts = [random_text(generator) for _ in range(2)]
        text: Text = (texts[0], texts[1]) if number % 3 == 0 else texts[0]
        yield case(generator.choice(list(CHANGES)), generator.choice(LENGTHS), text)


def random_text(generator: random.Random) -> str:
    if generator.random() < 0.15:
        return "".join(map(chr, random_characters(generator)))
    words = generator.choices(WORDS, k=generator.choice([1, 3, 10, 40]))
    joints = generator.choices([" ", " ", " ", "", "\n", ",", "\u200b"], k=len(words))
    return "".join(word + joint for word, joint in zip(words, joints, strict=True))


def random_characters(generator: random.Random) -> Sequence[int]:
    top = generator.choice([0x250, 0x3000, 0x10000, 0x20000, 0x110000])
    found = (generator.randrange(top) for _ in range(generator.randrange(1, 60)))
    return [one for one in found if not 0xD800 <= one < 0xE000]


def others() -> Iterator[Json]:
    """Yield tokenizers that are not of BERT's kind, with the ids and segments of texts."""
    for name, content in (("byte level", byte_level()), ("sentence pieces", sentence_pieces())):
        ours = Tokenizer(content, 16)
        texts: list[Text] = [
            "a  great film, n\u00e4h \u6771 \U0001f600",
            ("who came?", "five adults & a child came, or two"),
        ]
        tokens = [ours.encode(text) for text in texts]
        cases = [{"text": text, "ids": one.ids, "types": one.types} for text, one in zip(texts, tokens, strict=True)]
        yield {"name": name, "max_length": 16, "file": json.loads(content), "cases": cases}


def byte_level() -> bytes:
    """Return a tokenizer.json like RoBERTa's."""
    pieces = ["<s>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120a", "in"]
    vocabulary = {token: number for number, token in enumerate(pieces)}
    found = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [("\u0120", "a"), ("i", "n")], unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True)
    return found.to_str().encode()


def sentence_pieces() -> bytes:
    """Return a tokenizer.json like XLNet's: pieces of words with their blanks, and special tokens behind the text."""
    pieces = [("<unk>", 0.0), ("<sep>", 0.0), ("<cls>", 0.0), ("\u2581", -2.0), ("\u2581a", -2.5), ("fi", -3.0)]
    letters = [(letter, -4.0) for letter in string.ascii_letters + string.punctuation]
    found = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces + letters, unk_id=0))
    found.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <sep> <cls>:2", pair="$A <sep> $B:1 <sep>:1 <cls>:2", special_tokens=[("<sep>", 1), ("<cls>", 2)]
    )
    return found.to_str().encode()


NONE = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
BERT = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
NORMALIZERS = {
    "uncased": BERT,
    "cased": {**BERT, "lowercase": False},
    "lowercase alone": {**NONE, "lowercase": True},
    "strip_accents alone": {**NONE, "strip_accents": True},
}


def code_points() -> Json:
    """Return for each normalizer its settings, and from which character on what words are made.

    These are the words of the character alone and, behind a tab, between an a and a b; NUL stands for the character.
    """
    found = {}
    for name, settings in NORMALIZERS.items():
        ranges: list[tuple[int, str]] = []
        words = words_of(normalizers.BertNormalizer(**settings))
        for number in (*range(0xD800), *range(0xE000, 0x110000)):
            made = f"{words(chr(number))}\t{words('a' + chr(number) + 'b')}".replace(chr(number), "\0")
            if not ranges or ranges[-1][1] != made:
                ranges.append((number, made))
        found[name] = {"settings": settings, "ranges": ranges}
    return found


def words_of(normalizer: normalizers.BertNormalizer) -> Any:
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return lambda text: " ".join(word for word, _ in split(normalizer.normalize_str(text)))


def main() -> None:
    if sys.argv[1:] == ["write"]:
        FILE.write_text(in_lines(written()), encoding="utf-8")
    else:
        makers = {"texts": lambda: document(many()), "code-points": code_points}
        sys.stdout.write(json.dumps(makers[sys.argv[1]]()))


def in_lines(vectors: Json) -> str:
    """Return JSON with a line for each thing of a list."""
    parts = []
    for name, value in vectors.items():
        lines = ",\n".join(map(json.dumps, value)) if isinstance(value, list) else ""
        parts.append(f"{json.dumps(name)}: " + (f"[\n{lines}\n]" if lines else json.dumps(value)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def written() -> Json:
    return {**document(few()), "others": list(others())}


def document(cases: Iterator[Json]) -> Json:
    return {"changes": CHANGES, "cases": list(cases)}


if __name__ == "__main__":
    main()
