"""Which characters of a text its tokens were made of. Knows no networks."""

import itertools
from collections.abc import Sequence

import tokenizers

Span = tuple[int, int]  # of characters, from the first to behind the last


def offsets_in(row: tokenizers.Encoding, of_text: Sequence[Span], before: int) -> list[Span | None]:
    """Return the characters of each token of a row that is of a text; None for others.

    `of_text` are those of the text's tokens before special ones were added. They stand in the row after so many
    `before` that are not special.
    """
    # Not the row's own, which are wrong for RoBERTa's tokenizer: it leaves out a blank each time it is asked to add
    # special tokens. Not by `sequence_ids`, which are not known of the first text where a row was made of parts.
    places = [place for place, is_special in enumerate(row.special_tokens_mask) if not is_special]
    offsets: list[Span | None] = [None] * len(row.ids)
    for place, span in zip(places[before : before + len(of_text)], of_text, strict=True):
        offsets[place] = span
    return offsets


def without_blanks(span: Span, text: str) -> Span:
    """Return a span of a text that does not begin with a blank: to some tokenizers that is a part of the next word."""
    start, end = span
    characters = text[start:end]
    return start + len(characters) - len(characters.lstrip()), end


def of_words(spans: Sequence[Span | None], words: Sequence[int | None]) -> list[Span | None]:
    """Return for each token the characters from the first to the last token of its word, by the numbers of words."""
    found = list(spans)
    places = [place for place, span in enumerate(spans) if span is not None]
    for _, group in itertools.groupby(places, key=lambda place: (words[place], words[place] is None and place)):
        word = list(group)
        first, last = spans[word[0]], spans[word[-1]]
        assert first, "tokens of the text have characters"
        assert last, "tokens of the text have characters"
        for place in word:
            found[place] = first[0], last[1]
    return found
