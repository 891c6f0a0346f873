"""Text to token ids and padded arrays, with the bundle's tokenizer. Knows nothing about networks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.python_exit import NATIVE_CALL

Text = str | tuple[str, str]
Arrays = dict[str, NDArray[np.int64]]

# No tokenizer of this family makes a token of more characters, but for words that become one unknown token.
_CHARACTERS_PER_TOKEN = 20


@dataclass(frozen=True)
class Tokens:
    """The ids and the segment of each token of one text or pair, special tokens included."""

    ids: Sequence[int]
    types: Sequence[int]


class Tokenizer:
    """Encodes texts, and pairs where they are taken, cut at `max_length` tokens; from a tokenizer.json's content."""

    def __init__(self, content: bytes, max_length: int, *, pairs: bool = True):
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as problem:  # the library raises bare Exceptions
            raise BundleError(f"the tokenizer cannot be read: {problem}; export the bundle again") from None
        self.max_length = max_length
        self._pairs = pairs
        self._reach = max_length * _CHARACTERS_PER_TOKEN
        self._room = max_length - self._tokenizer.num_special_tokens_to_add(False)
        self._room_of_pair = max_length - self._tokenizer.num_special_tokens_to_add(True)
        # A tokenizer.json may ask for both: texts are cut here, and padded to what they share a batch with.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @classmethod
    def of(cls, bundle: Bundle) -> "Tokenizer":
        """Return a bundle's verified tokenizer."""
        manifest = bundle.manifest
        return cls(bundle.verified(manifest.tokenizer), manifest.max_length, pairs=manifest.pairs)

    def check(self, text: Text) -> tuple[str, str | None]:
        """Return a text and its pair, or None for it.

        Raises:
            EdgeBertError: not a string or a tuple of two, nothing but white space, or a pair where none is taken.
        """
        parts: Iterable[object] = text if isinstance(text, tuple) and len(text) == 2 else (text,)
        first, *rest = map(_checked, parts)
        if rest and not self._pairs:
            raise EdgeBertError("expected single texts, found a pair; export the bundle again without --no-pairs")
        return first, rest[0] if rest else None

    @NATIVE_CALL
    def encode(self, text: Text) -> Tokens:
        """Return the tokens of a text or a (text, pair) tuple.

        Raises:
            EdgeBertError: `check` refuses it.
        """
        first, pair = self.check(text)
        return self._joined(self._leading(first), None if pair is None else self._leading(pair))

    @NATIVE_CALL
    def encode_all(self, texts: Sequence[Text]) -> list[Tokens]:
        """Return what `encode` does for each text, on all cores and while other threads of Python run.

        Raises:
            EdgeBertError: `check` refuses one.
        """
        pairs = [self.check(text) for text in texts]
        parts = [part for pair in pairs for part in pair if part is not None]
        shortened = [_leading_words(part, self._reach) for part in parts]
        # 16 us a text on two cores, where one after the other takes 37 (docs/log.md).
        encodings = self._tokenizer.encode_batch_fast(shortened, add_special_tokens=False)
        leading = (
            encoding if short == part or len(encoding.ids) >= self.max_length else self._leading(part)
            for encoding, short, part in zip(encodings, shortened, parts, strict=True)
        )
        return [self._joined(next(leading), None if pair is None else next(leading)) for _, pair in pairs]

    def _joined(self, first: tokenizers.Encoding, second: tokenizers.Encoding | None) -> Tokens:
        """Return one text's tokens, or a pair's, cut and with the special ones."""
        if second is None:
            first.truncate(self._room)
        else:
            # Cut one by one, longest first, as transformers does: the library would build every overflow of both.
            kept = longest_first(len(first.ids), len(second.ids), self._room_of_pair)
            first.truncate(kept[0])
            second.truncate(kept[1])
        encoding = self._tokenizer.post_process(first, second)
        return Tokens(encoding.ids, encoding.type_ids)

    def _leading(self, text: str) -> tokenizers.Encoding:
        """Return the tokens of a text without special ones, at least the first `max_length`."""
        reach = self._reach
        while True:
            # A text of megabytes costs as much as the words that are kept of it.
            shortened = _leading_words(text, reach)
            encoding = self._tokenizer.encode(shortened, add_special_tokens=False)
            if shortened == text or len(encoding.ids) >= self.max_length:
                return encoding
            reach *= 16  # such as for long runs of white space, which become no token


def longest_first(first: int, second: int, most: int) -> tuple[int, int]:
    """Return how many tokens two texts keep of `most`: the longer one is cut until both are equal, then both."""
    if first + second <= most:
        return first, second
    shorter = min(first, second, most // 2)
    longer = most - shorter
    return (shorter, longer) if first <= second else (longer, shorter)


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


def _leading_words(text: str, reach: int) -> str:
    """Return the whole words among the first `reach` characters: they become the tokens that start the full text."""
    if len(text) <= reach:
        return text
    end = max(text.rfind(space, 0, reach) for space in " \n\t")
    return text[:end] if end > 0 else text


def pad(batch: Sequence[Tokens], names: Sequence[str], lengths: Sequence[int] = ()) -> Arrays:
    """Return the named graph inputs, each (batch, length) int64, padded with 0.

    The length is that of the longest text, or the next of the given ones, if there is one.
    """
    longest = max(len(tokens.ids) for tokens in batch)
    # For engines to which a new length costs time the profile names those that were met.
    length = min((one for one in lengths if one >= longest), default=longest)
    arrays = {name: np.zeros((len(batch), length), dtype=np.int64) for name in names}
    for row, tokens in enumerate(batch):
        columns = {"input_ids": tokens.ids, "attention_mask": [1] * len(tokens.ids), "token_type_ids": tokens.types}
        for name, array in arrays.items():
            array[row, : len(tokens.ids)] = columns[name]
    return arrays
