"""Text to token ids and padded arrays, with the bundle's tokenizer. Knows nothing about networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray

from edgebert.bundle import Bundle
from edgebert.errors import BundleError, EdgeBertError

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
    """Encodes texts and pairs, cut at `max_length` tokens; made from the content of a tokenizer.json."""

    def __init__(self, content: bytes, max_length: int):
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as problem:  # the library raises bare Exceptions
            raise BundleError(f"the tokenizer cannot be read: {problem}; export the bundle again") from None
        self.max_length = max_length
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_length, strategy="longest_first")

    @classmethod
    def of(cls, bundle: Bundle) -> "Tokenizer":
        """Return a bundle's verified tokenizer."""
        return cls(bundle.verified(bundle.manifest.tokenizer), bundle.manifest.max_length)

    def encode(self, text: Text) -> Tokens:
        """Return the tokens of a text or a (text, pair) tuple.

        Raises:
            EdgeBertError: not a string or a tuple of two, or nothing but white space.
        """
        first, pair = check_text(text)
        reach = self.max_length * _CHARACTERS_PER_TOKEN
        while True:
            # A text of megabytes costs as much as the words that are kept of it.
            shortened = _leading_words(first, reach), pair and _leading_words(pair, reach)
            encoding = self._tokenizer.encode(*shortened)
            if shortened == (first, pair) or (len(encoding.ids) == self.max_length and pair is None):
                return Tokens(encoding.ids, encoding.type_ids)
            reach *= 16


def check_text(text: object) -> tuple[str, str | None]:
    """Return a text and its pair, or None for it.

    Raises:
        EdgeBertError: not a string or a tuple of two, or nothing but white space.
    """
    parts = text if isinstance(text, tuple) and len(text) == 2 else (text,)
    return _check_part(parts[0]), _check_part(parts[1]) if len(parts) == 2 else None


def _check_part(part: object) -> str:
    if not isinstance(part, str):
        raise EdgeBertError(f"expected a text or a (text, pair) tuple, found {type(part).__name__}; pass str")
    if not part.strip():
        raise EdgeBertError("expected a text, found an empty one; leave it out")
    if not _is_unicode(part):
        raise EdgeBertError("expected a text, found one that is not valid Unicode; decode it as UTF-8")
    return part


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as from arguments that were not UTF-8
        return False
    return True


def _leading_words(text: str, reach: int) -> str:
    """Return the whole words among the first `reach` characters: they become the tokens that start the full text."""
    if len(text) <= reach:
        return text
    end = max(text.rfind(space, 0, reach) for space in " \n\t")
    return text[:end] if end > 0 else text


def pad(batch: Sequence[Tokens], names: Sequence[str]) -> Arrays:
    """Return the named graph inputs, each (batch, length) int64, padded with 0 to the longest of the batch."""
    length = max(len(tokens.ids) for tokens in batch)
    arrays = {name: np.zeros((len(batch), length), dtype=np.int64) for name in names}
    for row, tokens in enumerate(batch):
        columns = {"input_ids": tokens.ids, "attention_mask": [1] * len(tokens.ids), "token_type_ids": tokens.types}
        for name, array in arrays.items():
            array[row, : len(tokens.ids)] = columns[name]
    return arrays
