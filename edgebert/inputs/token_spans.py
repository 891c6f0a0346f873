"""Which characters of a text its tokens were made of. Knows no tokenizers."""

import itertools
from collections.abc import Sequence

Span = tuple[int, int]  # of characters, from the first to behind the last


def without_blanks(span: Span, text: str) -> Span:
    """Return a span of a text that does not begin with a blank: to some tokenizers that is a part of the next word."""
    start, end = span
    characters = text[start:end]
    return start + len(characters) - len(characters.lstrip()), end


def of_words(spans: Sequence[Span], words: Sequence[int | None]) -> list[Span]:
    """Return for each token the characters from the first to the last token of its word, by the numbers of words."""
    found: list[Span] = []
    for _, group in itertools.groupby(range(len(words)), key=lambda one: (words[one], words[one] is None and one)):
        word = list(group)
        found += [(spans[word[0]][0], spans[word[-1]][1])] * len(word)
    return found
