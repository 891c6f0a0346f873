import json
import random
import string

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens, pad

NAMES = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def tokenizer(builtin: Bundle) -> Tokenizer:
    """The built-in bundle's, but for pairs too."""
    return Tokenizer(builtin.verified(builtin.manifest.tokenizer), builtin.manifest.max_length)


def library_tokenizer() -> tokenizers.Tokenizer:
    """Return the library's own tokenizer, which cuts by its own rules."""
    bundle = Bundle.load()
    library = tokenizers.Tokenizer.from_buffer(bundle.verified(bundle.manifest.tokenizer))
    library.enable_truncation(bundle.manifest.max_length, strategy="longest_first")
    return library


def test_the_golden_texts_become_the_golden_inputs(builtin: Bundle, tokenizer: Tokenizer) -> None:
    golden = builtin.golden()
    arrays = pad([tokenizer.encode(text) for text in golden.texts], builtin.manifest.inputs)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        name: [list(row) for row in rows] for name, rows in golden.inputs.items()
    }


def test_a_pair_has_two_segments(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(("a great film", "dull"))
    assert tokens.types == [0, 0, 0, 0, 0, 1, 1]


def test_a_pair_is_refused_where_single_texts_are_expected(builtin: Bundle) -> None:
    with pytest.raises(EdgeBertError, match="expected single texts, found a pair, which this bundle was not"):
        Tokenizer.of(builtin).encode(("a great film", "dull"))


def with_template(tokenizer: tokenizers.Tokenizer, single: str, pair: str) -> bytes:
    template = tokenizers.processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("[SEP]", 102)])
    tokenizer.post_processor = tokenizers.processors.Sequence([template])
    return tokenizer.to_str().encode()


@pytest.mark.parametrize(
    ("single", "pair", "message"),
    [
        (
            "$A " * 30,
            "$A $B",
            "each text once in the tokenizer's template for a single, found A, A, .* 6 more;",
        ),
        ("$A", "$A $B $A", "expected each text once in the tokenizer's template for a pair, found A, A, B;"),
        ("[SEP]", "$A $B", "expected each text once in the tokenizer's template for a single, found none;"),
        ("$A " + "[SEP] " * 17, "$A $B", "adds more special tokens than the 16 that a text may have"),
    ],
)
def test_a_tokenizer_that_adds_more_than_ends_is_refused(single: str, pair: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Tokenizer(with_template(library_tokenizer(), single.strip(), pair), 16)


def test_long_texts_are_cut_at_the_longest_input(builtin: Bundle, tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("word " * 1000).ids) == builtin.manifest.max_length
    assert len(tokenizer.encode(("word " * 1000, "word " * 1000)).ids) == builtin.manifest.max_length


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([" ", "\n", "\t", "  ", "\u3000", "\u00a0", ""]))
def test_a_long_text_has_the_tokens_that_it_would_have_uncut(seed: int, space: str) -> None:
    tokenizer = Tokenizer.of(Bundle.load())
    generator = random.Random(seed)
    words = ("".join(generator.choices(string.printable, k=generator.randrange(60))) for _ in range(1500))
    text = space.join(words) + "end"
    assert tokenizer.encode(text).ids == library_tokenizer().encode(text).ids


PARTS = st.one_of(
    st.text(max_size=300),
    st.builds("{} {}".format, st.text(max_size=40), st.sampled_from(["word " * 200, "x" * 5000, "great film " * 500])),
).filter(lambda text: text.strip())


@settings(max_examples=50)
@given(st.lists(PARTS | st.tuples(PARTS, PARTS), max_size=8))
def test_texts_encoded_together_have_the_tokens_that_each_has_alone(tokenizer: Tokenizer, texts: list[Text]) -> None:
    assert tokenizer.encode_all(texts) == [tokenizer.encode(text) for text in texts]


@pytest.mark.parametrize("bad", ["", 5, ("a", "")])
def test_one_bad_text_among_others_is_refused(tokenizer: Tokenizer, bad: Text) -> None:
    with pytest.raises(EdgeBertError, match="expected a text"):
        tokenizer.encode_all(["fine", bad])


def test_a_megabyte_is_no_problem(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("great film " * 100_000).ids) == tokenizer.max_length
    assert len(tokenizer.encode("x" * 1_000_000).ids) == 3  # one unknown word


@pytest.mark.parametrize("text", ["", "  \n\t", ("a", ""), ("", "b")])
def test_an_empty_text_is_refused(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(EdgeBertError, match="expected a text, found an empty one; leave it out"):
        tokenizer.encode(text)


@pytest.mark.parametrize("text", [5, None, b"bytes", ["a"], ("a", 5), ("a", "b", "c")])
def test_what_is_no_text_is_refused(tokenizer: Tokenizer, text: object) -> None:
    with pytest.raises(EdgeBertError, match=r"expected a text or a \(text, pair\) tuple, found \w+; pass str"):
        tokenizer.encode(text)  # type: ignore[arg-type]


def test_half_a_character_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(EdgeBertError, match="not valid Unicode"):
        tokenizer.encode("caf\udce9")


def test_a_damaged_tokenizer_is_refused() -> None:
    with pytest.raises(BundleError, match=r"the tokenizer cannot be read: .*; export the bundle again"):
        Tokenizer(b"{}", 128)


@pytest.mark.parametrize("letter", ["b", "\\", "\U0001f600"])
def test_a_piece_that_would_end_the_process_is_refused(letter: str) -> None:
    pieces = [["<unk>", 0.0], [letter * 1_000_000, -1.0]]
    model = {"type": "Unigram", "unk_id": 0, "vocab": pieces}
    content = json.dumps({"version": "1.0", "added_tokens": [], "model": model}, indent=1)
    with pytest.raises(BundleError, match="expected pieces of words of at most 50,000 characters in the tokenizer"):
        Tokenizer(content.encode(), 32)


def test_padding_is_zero_and_masked() -> None:
    arrays = pad([Tokens([5, 6, 7], [0, 0, 1]), Tokens([8], [0])], NAMES)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "input_ids": [[5, 6, 7], [8, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "token_type_ids": [[0, 0, 1], [0, 0, 0]],
    }
    assert all(array.dtype == np.int64 for array in arrays.values())


@settings(max_examples=50)
@given(st.integers(1, 200), st.integers(1, 200))
def test_pairs_are_cut_longest_first_as_the_library_does(tokenizer: Tokenizer, first: int, second: int) -> None:
    expected = library_tokenizer().encode("a " * first, "b " * second)
    found = tokenizer.encode(("a " * first, "b " * second))
    assert (list(found.ids), list(found.types)) == (expected.ids, expected.type_ids)


def test_a_pair_with_a_megabyte_is_no_problem(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(("great film " * 100_000, "dull " * 20_000)).ids) == tokenizer.max_length
    with pytest.raises(EdgeBertError, match="a pair with one text of at most 200,000 characters, found 1,100,000"):
        tokenizer.encode(("great film " * 100_000, "dull " * 200_000))


@pytest.mark.parametrize(("first", "second"), [(3000, 2999), (2999, 3000), (3000, 3000), (70, 3000), (3000, 70)])
def test_the_longer_text_of_a_pair_keeps_the_odd_token(tokenizer: Tokenizer, first: int, second: int) -> None:
    # One letter a word: both are far longer than what is read of a text to cut it.
    expected = library_tokenizer().encode("a " * first, "bright " * 20 + "b " * second)
    assert list(tokenizer.encode(("a " * first, "bright " * 20 + "b " * second)).ids) == expected.ids


QUESTION, CONTEXT = "who came?", "Unbelievably, five adults & a child came to the restaurant; nobody   else did. " * 9


@pytest.mark.parametrize("overlap", [0, 5, 50])
@pytest.mark.parametrize("whole_words", [False, True])
def test_windows_hold_all_of_a_context_and_overlap(builtin: Bundle, overlap: int, whole_words: bool) -> None:
    cutter = Tokenizer(builtin.verified(builtin.manifest.tokenizer), 64)
    rows = cutter.windows((QUESTION, CONTEXT), overlap, whole_words=whole_words)
    library = tokenizers.Tokenizer.from_buffer(builtin.verified(builtin.manifest.tokenizer))
    library.no_padding()
    library.enable_truncation(64, stride=overlap, strategy="only_second")
    whole = library.encode(QUESTION, CONTEXT)
    for row, expected in zip(rows, [whole, *whole.overflowing], strict=True):
        assert (list(row.ids), list(row.types)) == (expected.ids, expected.type_ids)
        assert row.text == CONTEXT
        assert len(row.ids) <= 64
        for span, offsets, sequence, word in zip(
            row.spans, expected.offsets, expected.sequence_ids, expected.word_ids, strict=True
        ):
            of_word = expected.word_to_chars(word, 1) if sequence == 1 and word is not None else None
            assert span == (None if sequence != 1 else of_word if whole_words else offsets)


def test_a_question_is_cut_at_half_of_a_window(builtin: Bundle) -> None:
    cutter = Tokenizer(builtin.verified(builtin.manifest.tokenizer), 23)
    for row in cutter.windows(("film " * 90, "good " * 90), 4):
        assert sum(span is None for span in row.spans) == 3 + 10
        assert len(row.ids) <= 23


def byte_level() -> bytes:
    """Return a tokenizer like RoBERTa's, to which the blank before a word is a part of it."""
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", "<unk>", *sorted(letters)])}
    found = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [], unk_token="<unk>"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True)
    return found.to_str().encode()


def with_class_last() -> bytes:
    """Return a tokenizer like XLNet's: pieces of words with their blanks, and the special tokens behind the text."""
    pieces = ["<unk>", "<sep>", "<cls>", "\u2581", *string.ascii_letters, *string.punctuation]
    found = tokenizers.Tokenizer(tokenizers.models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <sep> <cls>:2", pair="$A <sep> $B:1 <sep>:1 <cls>:2", special_tokens=[("<sep>", 1), ("<cls>", 2)]
    )
    return found.to_str().encode()


@pytest.mark.parametrize(("content", "context_first"), [(byte_level(), False), (with_class_last(), True)])
def test_spans_begin_behind_the_blank_and_a_context_may_come_first(content: bytes, context_first: bool) -> None:
    cutter, text = Tokenizer(content, 40), "a  b cd, \u00fc e" * 6
    for whole_words in (False, True):
        rows = cutter.windows(("q r", text), 7, whole_words=whole_words)
        assert len(rows) > 1
        for row in rows:
            places = [place for place, span in enumerate(row.spans) if span]
            assert places == list(range(places[0], places[-1] + 1))
            assert (places[0] == 0) == context_first
            for span in filter(None, row.spans):
                part = text[slice(*span)]
                assert part == part.lstrip()
    words = {text[slice(*span)] for row in rows for span in row.spans if span}
    assert {"a", "b", "\u00fc"} <= words


@pytest.mark.parametrize("text", ["a", ("a", ""), ("", "a"), ("a", 5), "x" * 200_001, ("a", "x" * 200_001)])
def test_windows_of_what_is_no_text_are_refused(tokenizer: Tokenizer, text: Text) -> None:
    if text == "a":
        (row,) = tokenizer.windows(text, 5)
        assert row.spans == [None, (0, 1), None]
        return
    with pytest.raises(EdgeBertError, match="expected a text"):
        tokenizer.windows(text, 5)


@pytest.mark.parametrize("length", [4, 16, 64])
def test_located_tokens_are_those_of_a_text_with_its_characters(builtin: Bundle, length: int) -> None:
    tokenizer = Tokenizer(builtin.verified(builtin.manifest.tokenizer), length)
    for text in ("A warm film, na\u00efve.", "word " * 100, "\u6771\u4eac \U0001f600 film"):
        tokens, plain = tokenizer.located(text), tokenizer.encode(text)
        assert (tokens.ids, tokens.types, tokens.text) == (plain.ids, plain.types, text)
        assert tokens.spans[0] is tokens.spans[-1] is None
        assert tokens.offsets == tokens.spans  # no token of this tokenizer has a blank
        words = [text[span[0] : span[1]] for span in tokens.spans if span]
        assert "".join(text.split()).startswith("".join(words))


def test_texts_that_are_cut_at_their_beginning_are_located_from_their_end(builtin: Bundle) -> None:
    content = tokenizers.Tokenizer.from_buffer(builtin.verified(builtin.manifest.tokenizer))
    content.enable_truncation(8, direction="left")
    tokenizer = Tokenizer(content.to_str().encode(), 8)
    text = "word " * 1000 + "good film"  # more than is read of it
    tokens = tokenizer.located(text)
    assert tokens.ids == tokenizer.encode(text).ids
    assert [text[span[0] : span[1]] for span in tokens.spans if span][-3:] == ["word", "good", "film"]
    assert tokens.spans[-2] == (len(text) - 4, len(text))


def test_what_is_too_long_to_be_read_as_a_whole_is_not_located(builtin: Bundle) -> None:
    with pytest.raises(EdgeBertError, match="expected a text of at most 200,000 characters, found 300,000; cut it"):
        Tokenizer.of(builtin).located("x" * 300_000)


def test_tokens_have_names_of_which_texts_are_made(builtin: Bundle) -> None:
    tokenizer = Tokenizer.of(builtin)
    names = [tokenizer.name_of(token) for token in tokenizer.encode("embedding").ids]
    assert names == ["[CLS]", "em", "##bed", "##ding", "[SEP]"]
    assert tokenizer.joined(names[1:-1]) == "embedding"
    assert tokenizer.marks_inner_tokens
    assert tokenizer.unknown is not None
    assert tokenizer.name_of(tokenizer.unknown) == "[UNK]"
