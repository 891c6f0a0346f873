"""Architectures of BERT, and the space in which the best is looked for (Bort, arXiv 2010.10499). Needs no torch."""

import itertools
import re
from collections.abc import Iterable

from edgebert.elastic_manifest import Slice
from edgebert.errors import TrainingError
from edgebert.records import Count, Record

# Without zeros in front, so that each architecture has one name; the prefix is that of sub-networks.
_NAME = re.compile(r"(?:bort-)?d([1-9]\d*)-a([1-9]\d*)-h([1-9]\d*)-i([1-9]\d*)")


class SharedSizes(Record, frozen=True):
    """What all architectures of a search share: the rows of the embedding tables, and the labels."""

    vocabulary: int
    positions: int
    types: int
    labels: int


class Architecture(Record, frozen=True):
    """The four numbers that Bort calls an architecture: layers, heads, hidden size and FFN neurons."""

    depth: Count
    heads: Count
    hidden: Count
    ffn: Count

    @classmethod
    def parse(cls, name: str) -> "Architecture":
        """Return the architecture of a name such as d4-a8-h1024-i768; what is none is a TrainingError."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise TrainingError(f"expected an architecture such as d4-a8-h1024-i768, found '{name}'; name one so")
        one = cls(*map(int, found.groups()))
        if not one.is_possible:
            raise TrainingError(
                f"{one}: expected heads that divide the hidden size {one.hidden}, found {one.heads}; choose others"
            )
        return one

    @property
    def is_possible(self) -> bool:
        """Whether the heads divide the hidden size."""
        return self.hidden % self.heads == 0

    @property
    def pair(self) -> tuple[int, int]:
        """The hidden size and the number of heads: what all slices of one checkpoint have in common."""
        return self.hidden, self.heads

    def parameters(self, sizes: SharedSizes) -> int:
        """Return how many parameters a BERT classifier of this architecture has, its pooler and its head included."""
        # Held against tensors: Bort's are 75.1 million, where the published 56.1 fit hidden and FFN size swapped.
        hidden, norm = self.hidden, 2 * self.hidden
        embeddings = (sizes.vocabulary + sizes.positions + sizes.types) * hidden + norm
        square = hidden * hidden + hidden  # queries, keys, values, the attention's output, and the pooler
        layer = 4 * square + norm + (hidden * self.ffn + self.ffn) + (self.ffn * hidden + hidden) + norm
        return embeddings + self.depth * layer + square + sizes.labels * (hidden + 1)

    def whole(self) -> Slice:
        """Return the sub-network that is all of a model of this architecture."""
        count = self.depth
        return Slice(str(self), tuple(range(count)), (self.heads,) * count, (self.ffn,) * count)

    def __str__(self) -> str:
        return f"bort-d{self.depth}-a{self.heads}-h{self.hidden}-i{self.ffn}"


def by_pair(architectures: Iterable[Architecture]) -> list[list[Architecture]]:
    """Return architectures in groups of one hidden size and number of heads."""
    groups: dict[tuple[int, int], list[Architecture]] = {}
    for one in architectures:
        groups.setdefault(one.pair, []).append(one)
    return list(groups.values())


class Space(Record, frozen=True):
    """The numbers to choose from, which are the paper's where none are given: 300 architectures."""

    depths: tuple[int, ...] = (2, 4, 6, 8, 10, 12)
    heads: tuple[int, ...] = (4, 8, 12, 16)
    hidden: tuple[int, ...] = (512, 768, 1024)
    ffn: tuple[int, ...] = (256, 512, 768, 1024, 3072)

    def architectures(self) -> list[Architecture]:
        """Return all architectures whose heads divide their hidden size; fewer than two are a TrainingError."""
        numbers = (sorted(set(options)) for options in (self.depths, self.heads, self.hidden, self.ffn))
        found = [one for one in itertools.starmap(Architecture, itertools.product(*numbers)) if one.is_possible]
        if len(found) < 2:
            advice = "give more numbers, and heads that divide a hidden size; or name one with --architecture"
            raise TrainingError(f"expected a space of two architectures or more, found {len(found)}; {advice}")
        return found
