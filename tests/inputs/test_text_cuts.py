import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from edgebert.errors import EdgeBertError
from edgebert.inputs.text_cuts import TextCuts
from edgebert.inputs.tokenization import Tokenizer as DeviceTokenizer

LETTERS = "abcdefgxyz\u00e9\u0436\u6771\u4eac"
PIECES = (
    *("film", "good", "don't", "caf\u00e9", "e\u0301", "\u0130", "\u00df", "\u6771\u4eac", "\u0436", "3.14"),
    *("x" * 99, "x" * 250, "\U0001f600", "\u0600", "\u0d4e", "\u0301", "\u0000", "\u200b", "\u037a", "\u00a0"),
    *("\u3000", "\ufeff", "_", "</s>", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", ",", ".", "!?", "''"),
    *("[", "]", "[NEW]", "[new]", "covid", "<m>"),
)


def word_pieces(**options: bool) -> Tokenizer:
    words = ["[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "film", "good", *",.!?'[]_<>/", "don", "t"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def byte_pairs(add_prefix_space: bool) -> Tokenizer:
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120\u0120", "\u0120f", "\u010a\u010a"]
    merges = [("\u0120", "\u0120"), ("\u0120", "f"), ("\u010a", "\u010a")]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    return tokenizer


def unigrams(scheme: str, *parts: normalizers.Normalizer, split_words: bool = True) -> Tokenizer:
    pieces = ["<unk>", "\u2581", *LETTERS, *",.!?'[]_", "film", "\u2581film", "\u2581\u2581", "\u2581good", "oo"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(number)) for number, piece in enumerate(pieces)], unk_id=0))
    tokenizer.normalizer = normalizers.Sequence(list(parts))
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    words = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.pre_tokenizer = words if split_words else metaspace
    return tokenizer


MADE: dict[str, Callable[[], Tokenizer]] = {
    "bert": word_pieces,
    "cased": lambda: word_pieces(lowercase=False),
    "no chinese": lambda: word_pieces(handle_chinese_chars=False),
    "roberta": lambda: byte_pairs(add_prefix_space=False),
    "roberta with a space": lambda: byte_pairs(add_prefix_space=True),
    "xlm-roberta": lambda: unigrams("always", normalizers.NFKC()),
    "xlnet": lambda: unigrams("first", normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents()),
    "no prefix": lambda: unigrams("never"),
    "metaspace": lambda: unigrams("always", normalizers.NFKC(), split_words=False),
    "metaspace first": lambda: unigrams("first", normalizers.Strip(left=False, right=True), split_words=False),
    "spaces": lambda: unigrams("always", normalizers.Replace(Regex(" {2,}"), " "), split_words=False),
}
ADDED: tuple[AddedToken, ...] = (
    AddedToken("[NEW]", special=True),
    AddedToken("[NEW]", normalized=True, single_word=True),
    AddedToken("covid", normalized=False),
    AddedToken("<m>", lstrip=True, special=True),
    AddedToken("\u6771", normalized=False, single_word=True),
    AddedToken("x,", normalized=False),
)


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.lists(st.sampled_from(ADDED), max_size=2))
def test_tokens_before_and_behind_a_place_are_those_of_the_whole(name: str, text: str, added: list[AddedToken]) -> None:
    tokenizer = MADE[name]()
    tokenizer.add_tokens(added)
    cuts = TextCuts.of(tokenizer)
    whole = ids(tokenizer, text)
    for place in cuts.places.finditer(text) if cuts.places else ():
        cut = place.start()
        assert ids(tokenizer, text[:cut]) + ids(tokenizer, text[cut:]) == whole, (text[:cut], text[cut:])
    assert ids(tokenizer, cuts.shortened(text)) == whole


@pytest.mark.parametrize("name", MADE)
def test_ordinary_texts_have_places(name: str) -> None:
    cuts = TextCuts.of(MADE[name]())
    text = "a good film, " * 1000
    start, end = cuts.start_of(text, 500), cuts.end_of(text, 500)
    assert start is not None
    assert end is not None
    assert (text.startswith(start), text.endswith(end)) == (True, True)
    assert 480 < len(start) <= 500
    assert 480 < len(end) <= 500


@pytest.mark.parametrize(
    "added", [AddedToken("new york"), AddedToken("\u6771\u4eac", normalized=True), AddedToken("<m>", rstrip=True)]
)
def test_where_a_token_may_reach_over_a_space_no_place_is_known(added: AddedToken) -> None:
    tokenizer = byte_pairs(False) if added.rstrip else word_pieces()
    tokenizer.add_tokens([added])
    assert TextCuts.of(tokenizer).places is None


@pytest.mark.parametrize(
    "pre_tokenizer",
    [None, pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.ByteLevel(use_regex=False)],
)
def test_no_place_is_known_where_words_are_not_known(pre_tokenizer: pre_tokenizers.PreTokenizer | None) -> None:
    tokenizer = byte_pairs(False)
    tokenizer.pre_tokenizer = pre_tokenizer
    assert TextCuts.of(tokenizer).places is None


def device(tokenizer: Tokenizer, max_length: int, side: str = "right") -> DeviceTokenizer:
    tokenizer.enable_truncation(max_length, direction=side)
    return DeviceTokenizer(tokenizer.to_str().encode(), max_length)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", MADE)
@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_a_long_text_is_cut_as_the_library_cuts_it(name: str, side: str, seed: int) -> None:
    tokenizer = MADE[name]()
    generator = random.Random(seed)
    texts = ["".join(generator.choices(PIECES, k=generator.choice([10, 100, 1000]))) + "film" for _ in range(2)]
    ours = device(tokenizer, 20, side)
    for text in texts:
        assert list(ours.encode(text).ids) == tokenizer.encode(text).ids
    assert [list(tokens.ids) for tokens in ours.encode_all(texts)] == [tokenizer.encode(text).ids for text in texts]


def test_no_more_is_read_of_a_text_than_its_kept_tokens_need() -> None:
    assert len(device(word_pieces(), 20).encode("x" * 3_000_000 + " good film").ids) == 3
    assert len(device(word_pieces(), 20).encode("\u6771" * 3_000_000).ids) == 20
    assert len(device(word_pieces(), 20, "left").encode('{"x":1,"y":2}' * 300_000).ids) == 20


@pytest.mark.parametrize(("side", "end"), [("right", "first"), ("left", "last")])
def test_a_text_whose_kept_tokens_are_not_found_is_refused(side: str, end: str) -> None:
    tokenizer = device(byte_pairs(False), 20, side)
    message = (
        f"expected 20 tokens in the {end} 200,000 characters of a text that is longer, found fewer or a word without"
    )
    for refusing in (tokenizer.encode, tokenizer.check):
        with pytest.raises(EdgeBertError, match=message):
            refusing("x" * 3_000_000)
