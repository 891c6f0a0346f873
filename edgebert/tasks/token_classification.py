"""token-classification: a label for each token of a text, such as the names of people and places in it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError, listed, shortened
from edgebert.inputs.dataset import Example
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.entities import Entity, EntityOptions, TextTokens, entities_of, without_overlaps
from edgebert.tasks.label_task import have_numbers, place_of
from edgebert.tasks.metrics import Interval, ratio, ratio_interval
from edgebert.tasks.tag_spans import OUTSIDE, span_counts
from edgebert.tasks.task import Answer, Counts, Options, Outputs, Results, Task

_WORD = re.compile("[^ ]+")
_TAG = re.compile(r"O|[BIES]-.+")


@dataclass(frozen=True)
class WordTags:
    """What is asked for: the characters (start, end) of each word of a text, and the number of its label."""

    words: Sequence[tuple[int, int]]
    labels: Sequence[int]


@dataclass(frozen=True)
class TextTags:
    """What a network found in a row or a text: the characters and the label of each token, special ones left out.

    `confidence` is the score of the token that is least sure. There are `entities` where the row knew its text.
    """

    spans: Sequence[tuple[int, int]]
    labels: NDArray[np.int64]
    confidence: float
    entities: tuple[Entity, ...]


class TokenClassification(Task):
    """Labels of tokens: the softmax of each token's logits, and the F1 of spans of words as seqeval counts them."""

    NAME = "token-classification"
    OUTPUTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"logits": ("batch", "length", "labels")}
    COLUMNS = ("entities", "scores")
    METRICS = ("span_f1", "accuracy")
    LOSS = "token-cross-entropy"
    OPTIONS: ClassVar[type[Options]] = EntityOptions

    @classmethod
    def is_meant_by(cls, row: Example) -> bool:
        """Return whether a row has a list of words, or a tag for each of its words."""
        tags = row.label.split() if isinstance(row.label, str) else ()
        has_tags = len(tags) == len(_words(row)) and all(map(_TAG.fullmatch, tags))
        return row.pair is None and (isinstance(row.label, tuple) if row.words is not None else has_tags)

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the tags that occur: O, then the others by the alphabet."""
        found: dict[str, Example] = {}
        for row in rows:
            found.update({tag: row for tag in _tags(row) if tag not in found})
        numbers = next((tag for tag in found if tag.lstrip("-").isdecimal()), None)
        if numbers is not None:
            advice = "name the tags in the order of their numbers with --labels"
            raise EdgeBertError(f"{found[numbers].place}: expected names of tags, found '{numbers}'; {advice}")
        return tuple(sorted(found, key=lambda tag: (tag != OUTSIDE, tag)))

    def target(self, row: Example) -> WordTags:
        """Return the number of each word's label; tags are given by the names of labels or by these numbers."""
        labels = []
        for tag in _tags(row):
            label = place_of(tag, self.labels)
            if label is None:
                known = listed(self.labels) + (" (or their numbers)" if have_numbers(self.labels) else "")
                found = f"found '{shortened(tag)}'; correct it, or leave the row out"
                raise EdgeBertError(f"{row.place}: expected tags of {known}, {found}")
            labels.append(label)
        return WordTags(_words(row), labels)

    def check(self, text: Text, tokenizer: Tokenizer) -> None:
        """Raise an EdgeBertError for a text that `rows` refuses."""
        tokenizer.check(self._single(text))

    def rows(self, text: Text, tokenizer: Tokenizer, options: Options) -> Sequence[Tokens]:
        """Return a text's tokens with their characters: cut at what a row holds, or with a stride all, in windows."""
        assert isinstance(options, EntityOptions)
        text = self._single(text)
        if options.stride is not None and options.stride >= tokenizer.max_length:
            expected = f"expected a stride below the {tokenizer.max_length} tokens of a window"
            raise EdgeBertError(f"{expected}, found {options.stride}; pass a smaller one")
        found = [tokenizer.located(text)] if options.stride is None else tokenizer.windows(text, options.stride)
        return [TextTokens(**vars(row), tokenizer=tokenizer) for row in found]

    def _single(self, text: Text) -> str:
        if not isinstance(text, str):
            found = "two" if isinstance(text, tuple) else type(text).__name__
            raise EdgeBertError(f"expected a text by itself for {self.NAME}, found {found}; pass one str")
        return text

    def rows_of_all(self, texts: Sequence[Text], tokenizer: Tokenizer, options: Options) -> list[Sequence[Tokens]]:
        """Return what `rows` does for each of many texts."""
        assert isinstance(options, EntityOptions)
        if options.stride is not None:
            return [self.rows(text, tokenizer, options) for text in texts]
        found = tokenizer.located_all([self._single(text) for text in texts])
        return [(TextTokens(**vars(row), tokenizer=tokenizer),) for row in found]

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return the labels of each row's tokens, and the entities of those rows that know their text."""
        assert isinstance(options, EntityOptions)
        return [self._result(logits, row, options) for logits, row in zip(outputs["logits"], rows, strict=True)]

    def _result(self, logits: NDArray[np.float32], row: Tokens, options: EntityOptions) -> TextTags:
        places = [place for place, span in enumerate(row.spans) if span is not None]
        logits = logits[places]
        # The same softmax, whose largest exponent is 0: none overflows.
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = shifted / shifted.sum(axis=1, keepdims=True)
        return TextTags(
            spans=[span for span in row.spans if span is not None],
            labels=logits.argmax(axis=1),
            confidence=float(scores.max(axis=1).min(initial=1.0)),
            entities=entities_of(row, places, scores, self.labels, options) if isinstance(row, TextTokens) else (),
        )

    def joined(self, results: Results, options: Options) -> TextTags:
        """Return what was found in the windows of a text together; a token of two windows is there twice."""
        if len(results) == 1:
            return results[0]  # type: ignore[no-any-return]
        return TextTags(
            spans=[span for one in results for span in one.spans],
            labels=np.concatenate([one.labels for one in results]),
            confidence=min(one.confidence for one in results),
            entities=without_overlaps([entity for one in results for entity in one.entities]),
        )

    def answers(self, results: Results, options: Options) -> list[Answer]:
        """Return a list of entities for each text, as transformers' pipeline does."""
        return [[entity.answer() for entity in one.entities] for one in results]

    def cells(self, answer: Answer) -> tuple[str, str]:
        """Return entities as LABEL:WORDS, and their scores, each joined by commas; nothing where there are none."""
        named = [f"{one.get('entity_group') or one['entity']}:{one['word']}" for one in answer]
        return ",".join(named), ",".join(f"{one['score']:.4f}" for one in answer)

    @property
    def known_cells(self) -> None:
        """Anything: words of texts stand beside the labels."""
        return

    def metrics(self, results: Results, targets: Sequence[WordTags]) -> dict[str, float]:
        """Return the F1 of spans, and the share of words whose label is right."""
        found, wanted = self._tags_of(results, targets)
        pairs = [pair for tags in zip(found, wanted, strict=True) for pair in zip(*tags, strict=True)]
        right = np.array([ours == theirs for ours, theirs in pairs], np.int64)
        return {"span_f1": ratio(*span_counts(found, wanted)), "accuracy": ratio(right, np.ones_like(right))}

    def interval(self, results: Results, targets: Sequence[WordTags]) -> Interval:
        """Return the 95 % interval of the F1 of spans."""
        return ratio_interval(*self.counts(results, targets))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return the share of tokens whose label is the full network's."""
        found, right = (np.concatenate([one.labels for one in some]) for some in (results, full))
        return float((found == right).mean()) if len(right) else 1.0

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts a token's label is wrong whose right one leads by more than both may be off."""
        logits = right["logits"]
        if logits.shape[-1] < 2:
            return 0
        ordered = np.sort(logits, axis=-1)
        clear = ordered[..., -1] - ordered[..., -2] > 2 * tolerance
        wrong = clear & (found["logits"].argmax(axis=-1) != logits.argmax(axis=-1))
        return int(wrong.any(axis=1).sum())

    @property
    def has_cascade(self) -> bool:
        """Whether there are labels to be sure or unsure about."""
        return len(self.labels) > 1

    def confidences(self, results: Results) -> NDArray[np.float32]:
        """Return the score of each text's token that is least sure."""
        return np.array([one.confidence for one in results], np.float32)

    def counts(self, results: Results, targets: Sequence[WordTags]) -> Counts:
        """Return twice the right spans, and the spans found plus the spans wanted: the two sides of their F1."""
        return span_counts(*self._tags_of(results, targets))

    def _tags_of(self, results: Results, targets: Sequence[WordTags]) -> tuple[list[list[str]], list[list[str]]]:
        """Return the tags of each text's words, by the network and as they were asked for."""
        found = []
        for result, target in zip(results, targets, strict=True):
            firsts = first_tokens(result.spans, target.words)
            found.append([OUTSIDE if one is None else self.labels[result.labels[one]] for one in firsts])
        return found, [[self.labels[label] for label in target.labels] for target in targets]


def first_tokens(tokens: Sequence[tuple[int, int] | None], words: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return the place of the first token that begins within each word, by the characters of both, in their order.

    None for a word that has none: it is behind where the text was cut, or nothing but what the tokenizer drops.
    """
    begins = [(span[0], place) for place, span in enumerate(tokens) if span is not None]
    firsts: list[int | None] = []
    at = 0
    for start, end in words:
        while at < len(begins) and begins[at][0] < start:
            at += 1
        firsts.append(begins[at][1] if at < len(begins) and begins[at][0] < end else None)
    return firsts


def _words(row: Example) -> Sequence[tuple[int, int]]:
    """Return the characters of a row's words: of the list that it came as, or of a text without its blanks."""
    return [found.span() for found in _WORD.finditer(row.text)] if row.words is None else row.words


def _tags(row: Example) -> Sequence[str]:
    """Return the tags of a row's words, or raise an EdgeBertError if there is not one for each."""
    if row.label is None:
        raise EdgeBertError(f"{row.place}: expected a tag for each word, found none; give the column 'tags'")
    tags: Sequence[Any] = row.label if isinstance(row.label, tuple) else row.label.split()
    words = _words(row)
    if len(tags) != len(words):
        found = f"found {len(tags)} tags for {len(words)} words"
        raise EdgeBertError(f"{row.place}: expected a tag for each word, {found}; separate words by single blanks")
    if "" in tags:
        raise EdgeBertError(f"{row.place}: expected a tag for each word, found an empty one; write O outside of spans")
    return tags
