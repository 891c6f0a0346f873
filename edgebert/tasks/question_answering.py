"""question-answering: the words of a context that answer a question, or that there are none.

Contexts of any length are cut into windows that overlap. Answers are those of the pipeline that transformers 4 had; 5
has none any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError, shortened
from edgebert.inputs.dataset import Example
from edgebert.inputs.manifest import ExportedSubnet, Manifest
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.answer_metrics import best, best_threshold, exact_match, f1
from edgebert.tasks.metrics import Interval, ratio_interval
from edgebert.tasks.spans import Found, Limits, Span, spans_of_window
from edgebert.tasks.task import Answer, Counts, Options, Outputs, Results, Task

# Tokens that two windows share, if that is not more than half of one; transformers' numbers.
_OVERLAP = 128
# A share of 1 in whole numbers, in which a cascade counts.
_COUNTED = 10_000


@dataclass(frozen=True)
class AnswerOptions(Options):
    """What a call may ask for, by the names and with the defaults that transformers' pipeline has.

    `max_answer_len` and `doc_stride`, by which windows overlap, are numbers of tokens. That there is no answer is an
    answer if `handle_impossible_answer` is true; None is where a threshold for it is known. `align_to_words` makes
    answers of whole words, as white space or the tokenizer has them.
    """

    top_k: int = 1
    max_answer_len: int = 15
    doc_stride: int | None = None
    handle_impossible_answer: bool | None = None
    align_to_words: bool = True

    def __post_init__(self) -> None:
        for name in ("top_k", "max_answer_len", "doc_stride"):
            value = getattr(self, name)
            if not (type(value) is int and value >= (name != "doc_stride")) and (name, value) != ("doc_stride", None):
                least = "0" if name == "doc_stride" else "1"
                raise EdgeBertError(f"expected a {name} of {least} or more, found {value!r}; pass a whole number")


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """The likeliest span of a context; F1 and exact match of its words, as SQuAD's script counts them.

    A network that was measured on questions without answers has a threshold for them.
    """

    no_answer_threshold: float | None = None

    NAME = "question-answering"
    OUTPUTS: ClassVar = {"start_logits": ("batch", "length"), "end_logits": ("batch", "length")}
    COLUMNS = ("answer", "score")
    METRICS = ("f1", "exact_match")
    LOSS = "span-cross-entropy"
    OPTIONS: ClassVar[type[Options]] = AnswerOptions
    USUAL_LENGTH = 384
    PAIRS_ONLY = True

    @classmethod
    def of_bundle(cls, manifest: Manifest) -> "QuestionAnswering":
        """Return the task of a bundle."""
        return cls(())

    @classmethod
    def is_meant_by(cls, row: Example) -> bool:
        """Return whether a row says where its answers begin, or that there are none."""
        texts = (row.label,) if isinstance(row.label, str) else row.label or ()
        is_said = row.starts is not None or row.label in ("", ())
        return row.pair is not None and is_said and all(text in row.pair for text in texts)

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return no labels: answers are parts of texts."""
        return ()

    def of_subnet(self, subnet: ExportedSubnet) -> "QuestionAnswering":
        """Return this task with the threshold of a sub-network."""
        return replace(self, no_answer_threshold=subnet.no_answer_threshold)

    def target(self, row: Example) -> tuple[Span, ...]:
        """Return the answers of a row, none where there is none, with their places in the context."""
        _, context = _question_of(row.input, f"{row.place}: ")
        if row.label is None:
            advice = "give the column 'answers', or 'answer' and 'start'"
            raise EdgeBertError(f"{row.place}: expected the answers to a question, found none; {advice}")
        texts = (row.label,) if isinstance(row.label, str) else row.label
        starts: Sequence[int | None] = row.starts or [None] * len(texts)
        found = []
        for text, start in zip(texts, starts, strict=True):
            place = _place(context, text.strip(), start)
            if place is None:
                expected = f"expected an answer that stands in its context, found '{shortened(text)}'"
                raise EdgeBertError(f"{row.place}: {expected}; correct it, or leave the row out")
            if text.strip():
                found.append(Span(place, place + len(text.strip()), text.strip()))
        return tuple(found)

    def check(self, text: Text, tokenizer: Tokenizer) -> None:
        """Raise an EdgeBertError if this is no question with a context, or one that cannot be read."""
        _question_of(text)
        tokenizer.check_windows(text)

    def rows(self, text: Text, tokenizer: Tokenizer, options: Options) -> Sequence[Tokens]:
        """Return the windows of a context, each behind the question."""
        assert isinstance(options, AnswerOptions)
        overlap = options.doc_stride
        if overlap is None:
            overlap = min(tokenizer.max_length // 2, _OVERLAP)
        return tokenizer.windows(_question_of(text), overlap, whole_words=options.align_to_words)

    def rows_of_all(self, texts: Sequence[Text], tokenizer: Tokenizer, options: Options) -> list[Sequence[Tokens]]:
        """Return what `rows` does for each of many questions."""
        return [self.rows(text, tokenizer, options) for text in texts]

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> list[Found]:
        """Return the likeliest spans of each window."""
        assert isinstance(options, AnswerOptions)
        is_asked = options.handle_impossible_answer
        threshold = 0.0 if is_asked and self.no_answer_threshold is None else self.no_answer_threshold
        logits = zip(outputs["start_logits"], outputs["end_logits"], rows, strict=True)
        # Some more than are asked for, since those of the same words will be one.
        count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
        limits, threshold = Limits(count, options.max_answer_len), None if is_asked is False else threshold
        return [spans_of_window(*one, limits, threshold) for one in logits]

    def joined(self, results: Results, options: Options) -> Found:
        """Return what the windows of a context say together.

        Spans of the same words count as one, wherever they stand, with the sum of their scores, as in transformers.
        """
        spans: dict[str, Span] = {}
        for span in (span for one in results for span in one.spans):
            same = spans.get(span.text.lower())
            spans[span.text.lower()] = span if same is None else replace(same, score=same.score + span.score)
        least = min(results, key=lambda one: one.no_answer)
        return Found(tuple(spans.values()), least.no_answer, least.threshold)

    def answers(self, results: Results, options: Options) -> list[Answer]:
        """Return {"score", "start", "end", "answer"} for each question, or with a `top_k` above 1 a list of them."""
        assert isinstance(options, AnswerOptions)
        found = [list(map(_answer, one.ranked[: options.top_k])) for one in results]
        return [answers[0] for answers in found] if options.top_k == 1 else found

    def cells(self, answer: Answer) -> tuple[str, str]:
        """Return the answers and their scores, each joined by commas."""
        answers = [answer] if isinstance(answer, dict) else answer
        return ",".join(one["answer"] for one in answers), ",".join(f"{one['score']:.4f}" for one in answers)

    @property
    def known_cells(self) -> None:
        """None: an answer may be any words."""
        return

    def tuned(self, results: Results, targets: Sequence[Any]) -> tuple["QuestionAnswering", Results]:
        """Return this task with the threshold that has the highest F1, and results by it; as it is if all have answers.

        It is found as SQuAD's script finds it (Rajpurkar et al. 2018), on the same data that the quality is of.
        """
        if all(targets):
            return self, results
        threshold = best_threshold(results, targets)
        return replace(self, no_answer_threshold=threshold), [replace(one, threshold=threshold) for one in results]

    def subnet_facts(self) -> dict[str, Any]:
        """Return the threshold, by the name of its key in the manifest."""
        return {"no_answer_threshold": self.no_answer_threshold}

    def metrics(self, results: Results, targets: Sequence[Any]) -> dict[str, float]:
        """Return F1 and exact match, each the best over a question's answers, on average over questions."""
        given = [one.ranked[0].text for one in results]
        exact = [best(exact_match, text, right) for text, right in zip(given, targets, strict=True)]
        return {"f1": float(np.mean(_f1_of(results, targets))), "exact_match": float(np.mean(exact))}

    def interval(self, results: Results, targets: Sequence[Any]) -> Interval:
        """Return the 95 % interval of F1."""
        return ratio_interval(_f1_of(results, targets), np.ones(len(targets)))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return how often the answer is the full network's, to the character."""
        pairs = [(found.ranked[0], right.ranked[0]) for found, right in zip(results, full, strict=True)]
        return float(np.mean([(found.start, found.end) == (right.start, right.end) for found, right in pairs]))

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts another token is likeliest to begin or end the answer than a clear right one."""
        wrong = np.zeros(len(right["start_logits"]), bool)
        for name in self.OUTPUTS:
            best = right[name].argmax(axis=1)
            first, second = np.sort(right[name], axis=1)[:, -1], np.sort(right[name], axis=1)[:, -2:][:, 0]
            wrong |= (first - second > 2 * tolerance) & (found[name].argmax(axis=1) != best)
        return int(wrong.sum())

    @property
    def has_cascade(self) -> bool:
        """Always: each window goes on to the second network by itself."""
        return True

    def confidences(self, results: Results) -> NDArray[np.float32]:
        """Return the probability of each answer, or that there is none where this is likelier.

        A window of many has mostly no answer, and is sure of that.
        """
        best = [max(one.no_answer, *(span.score for span in one.spans), 0.0) for one in results]
        return np.minimum(np.asarray(best, np.float32), 1)

    def counts(self, results: Results, targets: Sequence[Any]) -> Counts:
        """Return the F1 of each answer in ten thousandths, and the most that it can be."""
        gained = np.rint(_COUNTED * _f1_of(results, targets)).astype(np.int64)
        return gained, np.full_like(gained, _COUNTED)


def _question_of(text: Text, place: str = "") -> tuple[str, str]:
    """Return a question and its context, or raise an EdgeBertError if this is something else."""
    if not isinstance(text, tuple) or len(text) != 2:
        found = "a single text" if isinstance(text, str) else type(text).__name__
        advice = "pass both, as a (question, context) tuple or a dict of these, or with --question"
        raise EdgeBertError(f"{place}expected a question and its context, found {found}; {advice}")
    return text


def _place(context: str, text: str, start: int | None) -> int | None:
    """Return where an answer begins in a context: at `start`, or the nearest place, or the first; None if nowhere."""
    if start is None:
        start = 0
    elif context.startswith(text, start):
        return start
    # Where white space was changed since the file was made, places have moved a little.
    places = [found for found in (context.rfind(text, 0, start + len(text)), context.find(text, start)) if found >= 0]
    return min(places, key=lambda place: abs(place - start), default=None)


def _answer(span: Span) -> dict[str, Any]:
    return {"score": span.score, "start": span.start, "end": span.end, "answer": span.text}


def _f1_of(results: Results, targets: Sequence[Sequence[Span]]) -> NDArray[np.float64]:
    pairs = zip(results, targets, strict=True)
    return np.array([best(f1, one.ranked[0].text, right) for one, right in pairs], np.float64)
