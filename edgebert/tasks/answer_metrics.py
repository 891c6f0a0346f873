"""How good answers in words are, counted as SQuAD's script does. Knows nothing about networks."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgebert.tasks.spans import Found, Span

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _words(text: str) -> list[str]:
    """Return the words that count: in lower case, without punctuation and articles, as in SQuAD's script."""
    return _ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def exact_match(found: str, right: str) -> float:
    """Return 1 if two answers are the same words, else 0."""
    return float(_words(found) == _words(right))


def f1(found: str, right: str) -> float:
    """Return the F1 of the words of an answer; where either has none, whether both have."""
    ours, theirs = _words(found), _words(right)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))


def best(measure: Callable[[str, str], float], text: str, right: Sequence[Span]) -> float:
    """Return the measure of an answer by the right one that suits it best; none is right where there are none."""
    # Answers of articles and punctuation alone count as none.
    known = [span.text for span in right if _words(span.text)] or [""]
    return max(measure(text, one) for one in known)


def best_threshold(results: Sequence[Found], targets: Sequence[Sequence[Span]]) -> float:
    """Return the threshold with the highest mean F1: half-way between two questions, or beyond the last."""
    spans = [replace(one, threshold=None).ranked[0] for one in results]
    margins = np.array([one.no_answer_over(span) for one, span in zip(results, spans, strict=True)])
    # What each question gains by its span, and by having no answer.
    with_span = np.array([best(f1, span.text, right) for span, right in zip(spans, targets, strict=True)])
    without = np.array([best(f1, "", right) for right in targets])

    order = np.argsort(margins, kind="stable")
    gains = np.concatenate([[0.0], np.cumsum((with_span - without)[order])])
    bounds = margins[order]
    thresholds = np.concatenate([[bounds[0] - 1], (bounds[:-1] + bounds[1:]) / 2, [bounds[-1] + 1]])
    # Between equal margins there is no threshold.
    possible = np.concatenate([[True], bounds[:-1] < bounds[1:], [True]])
    return float(thresholds[possible][gains[possible].argmax()])
