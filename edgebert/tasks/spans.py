"""The likeliest parts of a text, from the logits of where they begin and end. Knows nothing about files."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgebert.inputs.tokenization import Tokens


@dataclass(frozen=True)
class Span:
    """A part of a context, by its characters, and the probability that it is the answer."""

    start: int
    end: int
    text: str
    score: float = 1.0


@dataclass(frozen=True)
class Found:
    """What is known of a window, or of a whole context: the likeliest spans, and how likely it is that there is none.

    `no_answer` is the probability of the token that stands for that, in the window where it is least. It counts as an
    answer where there is a `threshold`: the logarithm of how many times likelier it must be than the best span.
    """

    spans: tuple[Span, ...]
    no_answer: float
    threshold: float | None

    @property
    def ranked(self) -> list[Span]:
        """All possible answers, the best first; the empty one is that there is none."""
        none = Span(0, 0, "", self.no_answer)
        spans = sorted(self.spans, key=lambda span: span.score, reverse=True)
        if self.threshold is None:
            return spans or [none]
        ahead = [span for span in spans if not self.no_answer_over(span) > self.threshold]
        return [*ahead, none, *spans[len(ahead) :]]

    def no_answer_over(self, span: Span) -> float:
        """Return the logarithm of how many times likelier it is that there is no answer than that it is this span."""
        # Probabilities of float64, so that none is 0 but where logits differ by hundreds.
        return math.log(max(self.no_answer, 1e-300)) - math.log(max(span.score, 1e-300))


@dataclass(frozen=True)
class Limits:
    """How many spans are kept of a window, and how many tokens the longest may have."""

    spans: int
    longest: int


def spans_of_window(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    row: Tokens,
    limits: Limits,
    threshold: float | None,
) -> Found:
    """Return the likeliest spans of a window from the logits (length,) that a token is the first and the last one.

    Probabilities are those among the tokens of the context and the one of no answer.
    """
    places = [place for place, span in enumerate(row.spans) if span is not None]
    # The class stands before the question; behind both where the context comes first, as in XLNet's.
    none = 0 if not places or places[0] > 0 else len(row.ids) - 1
    first, last = (_probabilities(logits[[none, *places]]) for logits in (starts, ends))
    no_answer = float(first[0] * last[0])
    if not places:
        return Found((), no_answer, threshold)

    # Row n has the scores of all spans that begin with token n of the context, the shortest first.
    most = min(limits.longest, len(places))
    padded = np.concatenate([last[1:], np.full(most - 1, -1.0)])
    scores = (first[1:, None] * np.lib.stride_tricks.sliding_window_view(padded, most)).ravel()
    count = min(limits.spans, len(scores))
    best = np.argpartition(-scores, count - 1)[:count]
    spans = []
    for number in best[np.argsort(-scores[best], kind="stable")].tolist():
        begin, length = divmod(number, most)
        if begin + length < len(places):
            start, end = row.spans[places[begin]][0], row.spans[places[begin + length]][1]
            spans.append(Span(start, end, row.text[start:end], float(scores[number])))
    return Found(tuple(spans), no_answer, threshold)


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(weights / weights.sum())
