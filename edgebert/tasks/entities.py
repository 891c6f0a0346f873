"""Entities of a text, made of the scores of its tokens as transformers' `ner` pipeline makes them.

Follows that pipeline's rules step by step, its heuristics too (transformers 5, pipelines/token_classification.py), but
for one thing: no entity begins with a blank, which to some tokenizers is a part of the word behind it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError
from edgebert.inputs.token_spans import Span, without_blanks
from edgebert.inputs.tokenization import Tokenizer, Tokens
from edgebert.tasks.task import Options

STRATEGIES = ("none", "simple", "first", "average", "max")
_BY_WORD = ("first", "average", "max")

Scores = NDArray[np.float32]  # (tokens, labels), each from 0 to 1


@dataclass(frozen=True)
class EntityOptions(Options):
    """How tokens become entities, by the names of the pipeline's arguments.

    `aggregation_strategy` "none" answers every token by itself, "simple" joins those of one label, and "first",
    "average" and "max" join words, each by the scores of its first token, of all, or of the one that is surest. Labels
    of `ignore_labels` are left out of answers. With a `stride` a long text is not cut but answered in windows, of which
    each begins with so many tokens of the one before.
    """

    aggregation_strategy: str = "none"
    # A list, as it is read again from the file beside answers.
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None

    def __post_init__(self) -> None:
        strategy, ignored, stride = str(self.aggregation_strategy).lower(), self.ignore_labels, self.stride
        if strategy not in STRATEGIES:
            expected = f"expected an aggregation_strategy of {', '.join(STRATEGIES)}"
            raise EdgeBertError(f"{expected}, found {self.aggregation_strategy!r}; choose one of these")
        if isinstance(ignored, str) or not all(isinstance(label, str) for label in ignored):
            raise EdgeBertError(f"expected a list of labels as ignore_labels, found {ignored!r}; pass a list of names")
        if stride is not None and (type(stride) is not int or stride < 0):
            raise EdgeBertError(f"expected a stride of 0 tokens or more, found {stride!r}; pass a whole number")
        if stride is not None and strategy == "none":
            advice = f"choose one of {', '.join(STRATEGIES[1:])}"
            raise EdgeBertError(f"expected an aggregation_strategy beside a stride, found 'none'; {advice}")
        object.__setattr__(self, "aggregation_strategy", strategy)
        object.__setattr__(self, "ignore_labels", list(ignored))


@dataclass(frozen=True, kw_only=True)
class TextTokens(Tokens):
    """The tokens of a text, all or those of a window, with the tokenizer, which knows their names."""

    tokenizer: Tokenizer

    def name(self, place: int) -> str:
        """Return what a token is called: its name in the vocabulary, or the characters that this does not know."""
        tokenizer, token = self.tokenizer, self.ids[place]
        return self._characters(place) if token == tokenizer.unknown else tokenizer.name_of(token)

    def continues(self, place: int) -> bool:
        """Return whether a token belongs to the word of the one before."""
        if self.ids[place] == self.tokenizer.unknown:
            return False
        if self.tokenizer.marks_inner_tokens:
            # By the mark that its name has and the text has not.
            return len(self.name(place)) != len(self._characters(place))
        # Punctuation then belongs to the word before it, as in the pipeline.
        start, _ = self.offset(place)
        return start > 0 and " " not in self.text[start - 1 : start + 1]

    def offset(self, place: int) -> Span:
        """Return the characters of a token, with the blanks that belong to it; none of a special token."""
        return self.offsets[place] or (0, 0)

    def entity(self, label: str, score: float, word: str, places: Sequence[int], index: int | None = None) -> "Entity":
        """Return the entity that tokens are, from the first to the last of these places."""
        span = self.offset(places[0])[0], self.offset(places[-1])[1]
        return Entity(label, score, word, span, without_blanks(span, self.text)[0], index)

    def _characters(self, place: int) -> str:
        start, end = self.offset(place)
        return self.text[start:end]


@dataclass(frozen=True)
class Entity:
    """A token or a group of them: its label, how sure that is, its words and characters; a token's place in the row.

    `start` is behind the blanks that `span` may begin with.
    """

    label: str
    score: float
    word: str
    span: Span
    start: int
    index: int | None = None

    def answer(self) -> dict[str, Any]:
        """Return it as the pipeline does."""
        ends = {"word": self.word, "start": self.start, "end": self.span[1]}
        if self.index is None:
            return {"entity_group": self.label, "score": self.score, **ends}
        return {"entity": self.label, "score": self.score, "index": self.index, **ends}


@dataclass(frozen=True)
class _Word:
    """Tokens that have one label together, by their places in the row."""

    label: str
    score: np.float32
    places: Sequence[int]

    @property
    def kind(self) -> str:
        """What is labelled, without a B or an I before it."""
        return self.label[2:] if self.label[:2] in ("B-", "I-") else self.label


def entities_of(
    row: TextTokens, places: Sequence[int], scores: Scores, labels: Sequence[str], options: EntityOptions
) -> tuple[Entity, ...]:
    """Return the entities of a row, of the tokens at some places, whose scores are (places, labels)."""
    strategy, ignored = options.aggregation_strategy, options.ignore_labels
    if strategy == "none":
        # Most tokens are of no entity, and cost nothing.
        found = ((place, int(one.argmax()), one) for place, one in zip(places, scores, strict=True))
        kept = ((place, labels[best], one[best]) for place, best, one in found if labels[best] not in ignored)
        return tuple(row.entity(label, float(score), row.name(place), [place], place) for place, label, score in kept)
    groups = _grouped(_words(row, places, scores, labels, strategy))
    # What is before the first - is left out, be it a B, an I or anything else.
    named = ((group[0].label.split("-", 1)[-1], group) for group in groups)
    return tuple(_entity(name, group, row, strategy) for name, group in named if name not in ignored)


def without_overlaps(entities: Sequence[Entity]) -> tuple[Entity, ...]:
    """Return the entities of a text's windows; of those that overlap the longest, then the surest."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: entity.span[0]):
        last = kept[-1] if kept else None
        if last is None or not last.span[0] <= entity.span[0] < last.span[1]:
            kept.append(entity)
        elif (_characters(entity), entity.score) > (_characters(last), last.score):
            kept[-1] = entity
    return tuple(kept)


def _characters(entity: Entity) -> int:
    start, end = entity.span
    return end - start


def _words(row: TextTokens, places: Sequence[int], scores: Scores, labels: Sequence[str], strategy: str) -> list[_Word]:
    """Return the words of a row with their labels; without a strategy that joins tokens each is a word."""
    parts: list[list[int]] = []
    for number, place in enumerate(places):
        if parts and strategy in _BY_WORD and row.continues(place):
            parts[-1].append(number)
        else:
            parts.append([number])

    words = []
    for numbers in parts:
        found = scores[numbers]
        if strategy == "average":
            one = found.mean(axis=0)
        else:
            one = found[int(found.max(axis=1).argmax()) if strategy == "max" else 0]
        best = int(one.argmax())
        words.append(_Word(labels[best], one[best], [places[number] for number in numbers]))
    return words


def _grouped(words: Sequence[_Word]) -> list[list[_Word]]:
    """Return words in groups: one goes on where the next is of the same kind and does not begin with a B."""
    groups: list[list[_Word]] = []
    for word in words:
        if groups and groups[-1][-1].kind == word.kind and not word.label.startswith("B-"):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _entity(name: str, group: Sequence[_Word], row: TextTokens, strategy: str) -> Entity:
    tokenizer, places = row.tokenizer, list(itertools.chain(*(word.places for word in group)))
    # A word's text is made of its tokens, and that of a group once more of these texts.
    if strategy in _BY_WORD:
        names = [tokenizer.joined([row.name(place) for place in word.places]) for word in group]
    else:
        names = [row.name(place) for place in places]
    score = float(np.mean([word.score for word in group]))
    return row.entity(name, score, tokenizer.joined(names), places)
