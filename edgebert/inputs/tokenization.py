"""Text to token ids and padded arrays, with the bundle's tokenizer. Knows nothing about networks."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from edgebert.errors import BundleError, EdgeBertError, listed
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.text_cuts import TextCuts, longest_first, parts_of
from edgebert.inputs.token_spans import Span, of_words, without_blanks
from edgebert.inputs.tokenizer_file import LONGEST_PIECE, has_long_piece
from edgebert.python_exit import NATIVE_CALL

Text = str | tuple[str, str]
Arrays = dict[str, NDArray[np.int64]]
# A row of a batch, and its tokens of the text that is cut.
Window = tuple[tokenizers.Encoding, tokenizers.Encoding]

# Most texts have more tokens: what is behind so many characters of them is mostly cut off.
_CHARACTERS_PER_TOKEN = 20
# Read of a text that has fewer tokens, such as of long runs of white space: about 0.2 s and 20 MB.
_MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class Tokens:
    """The ids and the segment of each token of one text or pair, special tokens included.

    `spans` are the characters (start, end) of `text`, which is the text or the second one of a pair, that a token was
    made of; None for other tokens. `offsets` are the same with the blanks before a word, where they are a part of its
    token. Both are empty where nobody asked for them.
    """

    ids: Sequence[int]
    types: Sequence[int]
    spans: Sequence[Span | None] = ()
    text: str = ""
    offsets: Sequence[Span | None] = ()


class Tokenizer:
    """Encodes texts, and pairs where they are taken, cut at `max_length` tokens; from a tokenizer.json's content.

    Texts are cut at the `side` that it names for truncation, "right" if it names none.
    """

    def __init__(self, content: bytes, max_length: int, *, pairs: bool = True):
        if has_long_piece(content):
            expected = f"expected pieces of words of at most {LONGEST_PIECE:,} characters in the tokenizer"
            raise BundleError(f"{expected}, found a longer one; export the bundle again")
        self._tokenizer: tokenizers.Tokenizer = _asked(tokenizers.Tokenizer.from_buffer, content)
        self.max_length, self._reach = max_length, max_length * _CHARACTERS_PER_TOKEN
        self.side = (self._tokenizer.truncation or {"direction": "right"})["direction"]
        self._pairs = pairs
        # A tokenizer.json may ask for both: texts are cut here, and padded to what they share a batch with.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._room = max_length - self._added_to("A")
        self._room_of_pair = max_length - self._added_to("A", "B") if pairs else self._room
        if min(self._room, self._room_of_pair) < 0:
            found = f"the tokenizer adds more special tokens than the {max_length} that a text may have"
            raise BundleError(f"{found}; export the bundle again")

    def _added_to(self, *texts: str) -> int:
        """Return how many special tokens are added to a text, named "A", or to a pair, "A" and "B".

        Raises:
            BundleError: a text is added more than once, or not at all.
        """
        template = "single" if len(texts) == 1 else "pair"
        for part in parts_of(self._tokenizer.post_processor, "processors"):
            if part["type"] != "TemplateProcessing":
                continue
            named = sorted(piece["Sequence"]["id"] for piece in part[template] if "Sequence" in piece)
            # A stranger's may name a text a thousand times, and so take all memory.
            if named != list(texts):
                expected = f"expected each text once in the tokenizer's template for a {template}"
                raise BundleError(f"{expected}, found {listed(named) or 'none'}; export the bundle again")
        return self._tokenizer.num_special_tokens_to_add(len(texts) > 1)

    @functools.cached_property
    def _cuts(self) -> TextCuts:
        return TextCuts.of(self._tokenizer)  # for long texts only: others need not wait for it

    @classmethod
    def of(cls, bundle: Bundle) -> "Tokenizer":
        """Return a bundle's verified tokenizer."""
        manifest = bundle.manifest
        return cls(bundle.verified(manifest.tokenizer), manifest.max_length, pairs=manifest.pairs)

    def check(self, text: Text) -> tuple[str, str | None]:
        """Return a text and its pair, or None for it.

        Raises:
            EdgeBertError: not a string or a tuple of two, nothing but white space, too long to find out which tokens
                are kept of it, or a pair where none is taken.
        """
        parts: Iterable[object] = text if isinstance(text, tuple) and len(text) == 2 else (text,)
        first, *rest = map(_checked, parts)
        if rest and not self._pairs:
            raise EdgeBertError(
                "expected single texts, found a pair, which this bundle was not exported for; give one text"
            )
        pair = rest[0] if rest else None
        if max(len(first), len(pair or "")) > _MOST_CHARACTERS:
            _asked(self._encoded, first, pair)
        return first, pair

    def encode(self, text: Text) -> Tokens:
        """Return the tokens of a text or a (text, pair) tuple.

        Raises:
            EdgeBertError: `check` refuses it.
        """
        return _asked(self._encoded, *self.check(text))  # type: ignore[no-any-return]

    def encode_all(self, texts: Sequence[Text]) -> list[Tokens]:
        """Return what `encode` does for each text, on all cores and while other threads of Python run.

        Raises:
            EdgeBertError: `check` refuses one.
        """
        return _asked(self._all_encoded, [self.check(text) for text in texts])  # type: ignore[no-any-return]

    def located(self, text: str) -> Tokens:
        """Return what `encode` does for a text, with the span of each token.

        Raises:
            EdgeBertError: `check` refuses it, or more characters would have to be read than are.
        """
        self.check(text)
        return _asked(self._located, text)  # type: ignore[no-any-return]

    def located_all(self, texts: Sequence[str]) -> list[Tokens]:
        """Return what `located` does for each text, or raise as it does; on all cores."""
        return _asked(self._all_located, [self.check(text)[0] for text in texts])  # type: ignore[no-any-return]

    def name_of(self, token: int) -> str:
        """Return what a token is called in the vocabulary, such as ##ing."""
        return self._tokenizer.id_to_token(token) or ""

    def joined(self, names: Sequence[str]) -> str:
        """Return the text that names of tokens stand for, as transformers' convert_tokens_to_string does."""
        decoder = self._tokenizer.decoder
        return str(_asked(decoder.decode, list(names))) if decoder else " ".join(names)

    @functools.cached_property
    def marks_inner_tokens(self) -> bool:
        """Whether names tell tokens within a word from those that begin one, as WordPiece's ## does."""
        return bool(getattr(self._tokenizer.model, "continuing_subword_prefix", None))

    @functools.cached_property
    def unknown(self) -> int | None:
        """The token that stands for what the vocabulary lacks; None if there is none."""
        # No character that a vocabulary has: the library does not say which token it is for all kinds of models.
        found = _asked(self._tokenizer.model.tokenize, "\U0010fffd")
        # Bytes are all known, and the token then stands where somebody wrote its name.
        return found[0].id if len(found) == 1 else self._tokenizer.token_to_id("<unk>")

    def windows(self, text: Text, overlap: int, *, whole_words: bool = False) -> list[Tokens]:
        """Return a text, or a pair whose second text is cut, in rows of at most `max_length` tokens with their spans.

        Each row but the first begins with the last `overlap` tokens of the one before, as far as there is room for more
        than these. A row of a pair has all of the first text, which is cut at half of the room. With `whole_words` a
        token's span is that of its word, as far as this is in the row.

        Raises:
            EdgeBertError: `check_windows` refuses it.
        """
        first, pair = self.check_windows(text)
        cut = first if pair is None else pair
        rows, before = _asked(self._windows, first, pair, overlap)
        return [_with_spans(row, part, cut, before, whole_words=whole_words) for row, part in rows]

    def check_windows(self, text: Text) -> tuple[str, str | None]:
        """Return what `check` does of a text of which all tokens are read, or raise an EdgeBertError."""
        parts = [part for part in (text if isinstance(text, tuple) else (text,)) if isinstance(part, str)]
        _readable(max(parts, key=len, default=""))
        return self.check(text)

    def _located(self, text: str) -> Tokens:
        part = self._shortened(text, self._reach) or ""
        return self._located_in(text, part, self._tokenizer.encode(part, add_special_tokens=False))

    def _all_located(self, texts: Sequence[str]) -> list[Tokens]:
        parts = [self._shortened(text, self._reach) or "" for text in texts]
        encodings = self._tokenizer.encode_batch(parts, add_special_tokens=False)
        return list(map(self._located_in, texts, parts, encodings))

    def _located_in(self, text: str, part: str, encoding: tokenizers.Encoding) -> Tokens:
        if part != text and len(encoding.ids) < self.max_length:
            # Whole, since no other part of it is known to have tokens enough.
            part = _readable(text)
            encoding = self._tokenizer.encode(part, add_special_tokens=False)
        encoding.truncate(self._room, direction=self.side)
        shift = len(text) - len(part) if self.side == "left" else 0
        return _with_spans(self._tokenizer.post_process(encoding), encoding, text, shift=shift)

    def _windows(self, first: str, pair: str | None, overlap: int) -> tuple[list[Window], int]:
        """Return the rows of a text or pair, and how many tokens are before those of the text that is cut."""
        encoding, process = self._tokenizer.encode(first, add_special_tokens=False), self._tokenizer.post_process
        if pair is None:
            return [(process(part), part) for part in _parts(encoding, self._room, overlap)], 0
        cut = self._tokenizer.encode(pair, add_special_tokens=False)
        encoding.truncate(max(1, self._room_of_pair // 2))
        parts = _parts(cut, self._room_of_pair - len(encoding.ids), overlap)
        if self._has_ends_last:
            return [(process(part, encoding), part) for part in parts], 0
        return [(process(encoding, part), part) for part in parts], len(encoding.ids)

    @functools.cached_property
    def _has_ends_last(self) -> bool:
        """Whether all special tokens stand behind texts, as XLNet's do, which was trained with the long text first."""
        return not self._tokenizer.encode("a", "a").special_tokens_mask[0]

    def _all_encoded(self, pairs: Sequence[tuple[str, str | None]]) -> list[Tokens]:
        parts = [part for pair in pairs for part in pair if part is not None]
        shortened = [self._shortened(part, self._reach) or "" for part in parts]
        # 16 us a text on two cores, where one after the other takes 37 (docs/log.md).
        encodings = self._tokenizer.encode_batch_fast(shortened, add_special_tokens=False)
        kept = (
            encoding if short == part or len(encoding.ids) >= self.max_length else self._kept(part)
            for encoding, short, part in zip(encodings, shortened, parts, strict=True)
        )
        return [
            self._single(next(kept)) if pair is None else self._pair((first, pair), next(kept), next(kept))
            for first, pair in pairs
        ]

    def _encoded(self, first: str, pair: str | None) -> Tokens:
        if pair is None:
            return self._single(self._kept(first))
        return self._pair((first, pair), self._kept(first), self._kept(pair))

    def _single(self, encoding: tokenizers.Encoding) -> Tokens:
        """Return one text's tokens, cut and with the special ones."""
        encoding.truncate(self._room, direction=self.side)
        return self._with_ends(encoding)

    def _pair(self, texts: tuple[str, str], first: tokenizers.Encoding, second: tokenizers.Encoding) -> Tokens:
        """Return a pair's tokens, cut and with the special ones."""
        counts, room = (len(first.ids), len(second.ids)), self._room_of_pair
        # Where both are cut, the longer one keeps the odd token, and what is behind the reach counts too.
        if room % 2 and min(counts) > room // 2 and max(map(len, texts)) > self._reach:
            counts = self._counts(texts)

        # Cut one by one, longest first, as transformers does: the library would build every overflow of both.
        kept = longest_first(*counts, room)
        first.truncate(kept[0], direction=self.side)
        second.truncate(kept[1], direction=self.side)
        return self._with_ends(first, second)

    def _with_ends(self, first: tokenizers.Encoding, second: tokenizers.Encoding | None = None) -> Tokens:
        """Return the tokens of a text or a pair, and the special ones."""
        encoding = self._tokenizer.post_process(first, second)
        return Tokens(encoding.ids, encoding.type_ids)

    def _counts(self, texts: tuple[str, str]) -> tuple[int, int]:
        """Return how many tokens two texts have, or numbers of which the same one is larger.

        Raises:
            EdgeBertError: more characters would have to be read to know which is.
        """
        reach = max(_MOST_CHARACTERS, self._reach)
        parts = [self._shortened(text, reach) or "" for text in texts]
        first, second = (len(self._tokenizer.encode(part, add_special_tokens=False).ids) for part in parts)
        is_whole = [part == text for part, text in zip(parts, texts, strict=True)]
        if all(is_whole) or (is_whole[0] and first <= second) or (is_whole[1] and second < first):
            return first, second
        expected = f"expected a pair with one text of at most {reach:,} characters"
        raise EdgeBertError(f"{expected}, found {len(texts[0]):,} and {len(texts[1]):,}; cut one of them")

    def _kept(self, text: str) -> tokenizers.Encoding:
        """Return the tokens of a text without special ones, at least the `max_length` that are kept at most.

        Raises:
            EdgeBertError: not so many are known to be in its first `_MOST_CHARACTERS`.
        """
        if len(text) <= self._reach:
            return self._tokenizer.encode(text, add_special_tokens=False)
        for reach in (self._reach, max(_MOST_CHARACTERS, self._reach)):
            # A text of megabytes costs as much as the words that are kept of it.
            part = self._shortened(text, reach)
            if part is not None:
                encoding = self._tokenizer.encode(part, add_special_tokens=False)
                if part == text or len(encoding.ids) >= self.max_length:
                    return encoding
            text = self._cuts.shortened(text)

        place = "first" if self.side == "right" else "last"
        expected = f"expected {self.max_length} tokens in the {place} {reach:,} characters of a text that is longer"
        raise EdgeBertError(f"{expected}, found fewer or a word without an end; cut it before")

    def _shortened(self, text: str, reach: int) -> str | None:
        """Return what is kept of a text: at most `reach` characters, all if it has no more; None if it has no place."""
        if len(text) <= reach:
            return text
        return self._cuts.start_of(text, reach) if self.side == "right" else self._cuts.end_of(text, reach)


def _asked(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function gives that calls the library, whose errors are bare Exceptions and panics."""
    try:
        with NATIVE_CALL:
            return function(*arguments, **options)
    except (EdgeBertError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:
        reason = str(problem).partition("\n")[0][:200]
        raise BundleError(f"the tokenizer cannot be read: {reason}; export the bundle again") from None


def _parts(encoding: tokenizers.Encoding, room: int, overlap: int) -> list[tokenizers.Encoding]:
    """Return a text's tokens in parts of at most so many, each but the first with the last ones of that before it."""
    encoding.truncate(room, stride=min(overlap, room - 1))
    return [encoding, *encoding.overflowing]


def _with_spans(
    row: tokenizers.Encoding,
    part: tokenizers.Encoding,
    text: str,
    before: int = 0,
    *,
    whole_words: bool = False,
    shift: int = 0,
) -> Tokens:
    """Return the tokens of a row with their characters of a text, `shift` behind those that its tokenizer saw.

    `part` are the tokens of that text, which stand after so many others that are not special.
    """
    # The row's own numbers of texts are not known of its first one.
    places = [place for place, is_special in enumerate(row.special_tokens_mask) if not is_special]
    offsets = [(start + shift, end + shift) for start, end in part.offsets]
    spans = [without_blanks(span, text) for span in offsets]
    if whole_words:
        spans = of_words(spans, part.word_ids)
    found = dict(zip(places[before:], zip(spans, offsets, strict=True), strict=False))
    both = [found.get(place, (None, None)) for place in range(len(row.ids))]
    return Tokens(row.ids, row.type_ids, [span for span, _ in both], text, [offset for _, offset in both])


def _readable(text: str) -> str:
    """Return a text, or raise an EdgeBertError if it has more characters than are read as a whole."""
    if len(text) > _MOST_CHARACTERS:
        expected = f"expected a text of at most {_MOST_CHARACTERS:,} characters"
        raise EdgeBertError(f"{expected}, found {len(text):,}; cut it into several")
    return text


def _checked(part: object) -> str:
    if not isinstance(part, str):
        raise EdgeBertError(f"expected a text or a (text, pair) tuple, found {type(part).__name__}; pass str")
    if not part.strip():
        raise EdgeBertError("expected a text, found an empty one; leave it out")
    try:
        part.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as from arguments that were not UTF-8
        message = "expected a text, found one that is not valid Unicode; decode it as UTF-8"
        raise EdgeBertError(message) from None
    return part


def rows_of(inputs: Arrays) -> list[Tokens]:
    """Return the rows that padded graph inputs (batch, length) hold, each token as if it were a character of a text."""
    rows = zip(inputs["input_ids"].tolist(), inputs["attention_mask"].sum(axis=1).tolist(), strict=True)
    return [Tokens(ids[:length], [0] * length, [(place, place + 1) for place in range(length)]) for ids, length in rows]


def pad(batch: Sequence[Tokens], names: Sequence[str], lengths: Sequence[int] = ()) -> Arrays:
    """Return the named graph inputs, each (batch, length) int64, padded with 0.

    The length is that of the longest text, or the next of the given ones, if there is one.
    """
    longest = max(len(tokens.ids) for tokens in batch)
    # For engines to which a new length costs time the profile names those that were met.
    length = min((one for one in lengths if one >= longest), default=longest)
    if len(batch) == 1 and length == longest:  # most requests
        columns = _columns(batch[0])
        return {name: np.array([columns[name]], dtype=np.int64) for name in names}
    arrays = {name: np.zeros((len(batch), length), dtype=np.int64) for name in names}
    for row, tokens in enumerate(batch):
        columns = _columns(tokens)
        for name, array in arrays.items():
            array[row, : len(tokens.ids)] = columns[name]
    return arrays


def _columns(tokens: Tokens) -> dict[str, Sequence[int]]:
    return {"input_ids": tokens.ids, "attention_mask": [1] * len(tokens.ids), "token_type_ids": tokens.types}
