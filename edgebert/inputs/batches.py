"""Texts that are answered together: of like length, so that little is padded."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edgebert.inputs.tokenization import Tokens

_LEAST_FULL = 7 / 8  # a shorter text than this share of the longest costs more by its padding than a batch saves


@dataclass(frozen=True)
class Batch:
    """Tokenised texts, the longest last, and the place of each in the request."""

    places: tuple[int, ...]
    tokens: tuple[Tokens, ...]

    @property
    def length(self) -> int:
        """The length of the longest text, in tokens."""
        return len(self.tokens[-1].ids)

    @property
    def shape(self) -> tuple[int, int]:
        """The batch size and the length."""
        return len(self.tokens), self.length

    def part(self, rows: Sequence[int]) -> "Batch":
        """Return some of the texts, in ascending order, as a batch."""
        return Batch(tuple(self.places[row] for row in rows), tuple(self.tokens[row] for row in rows))


# Batches of a request; those of a group belong to one text, or are one by themselves.
Groups = Sequence[Sequence[Batch]]


@dataclass(frozen=True)
class Request:
    """The rows of all texts of a request one after the other, and the places of each text's own."""

    tokens: Sequence[Tokens]
    rows: Sequence[range]

    @classmethod
    def of(cls, texts: Sequence[Sequence[Tokens]]) -> "Request":
        """Return the request of texts, given by their rows."""
        ends = itertools.accumulate(map(len, texts))
        rows = [range(end - len(own), end) for end, own in zip(ends, texts, strict=True)]
        return cls(list(itertools.chain(*texts)), rows)

    def groups(self, most: int) -> Groups:
        """Return the rows in batches of at most so many: those of a text with several are a group of their own."""
        if len(self.tokens) == len(self.rows):
            return [(batch,) for batch in batches_of(self.tokens, most)]
        alone = [row for rows in self.rows if len(rows) == 1 for row in rows]
        groups: list[Sequence[Batch]] = [(batch,) for batch in self._batches(alone, most)]
        return groups + [self._batches(rows, most) for rows in self.rows if len(rows) > 1]

    def _batches(self, rows: Sequence[int], most: int) -> list[Batch]:
        found = batches_of([self.tokens[row] for row in rows], most)
        return [Batch(tuple(rows[place] for place in batch.places), batch.tokens) for batch in found]


def batches_of(tokens: Sequence[Tokens], most: int) -> list[Batch]:
    """Return batches of at most so many texts, the shortest first, so that the last is of the longest."""
    if len(tokens) == 1:  # most requests
        return [Batch((0,), (tokens[0],))]
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place].ids))
    groups: list[list[int]] = []
    for place in order:
        # Against the shortest of the batch, so that padding does not add up over texts that are each a little longer.
        shortest = len(tokens[groups[-1][0]].ids) if groups else 0
        if groups and len(groups[-1]) < most and shortest >= _LEAST_FULL * len(tokens[place].ids):
            groups[-1].append(place)
        else:
            groups.append([place])
    return [Batch(tuple(group), tuple(tokens[place] for place in group)) for group in groups]
