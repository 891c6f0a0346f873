import itertools
import math
import random

import pytest

from edgebert.tasks.answer_metrics import best, best_threshold, exact_match, f1
from edgebert.tasks.spans import Found, Span


@pytest.mark.parametrize(
    ("found", "right", "shared"),
    [
        ("The 5 adults!", "5 adults", 1.0),
        ("the", "a", 1.0),  # both without a word that counts
        ("", "adults", 0.0),
        ("adults", "", 0.0),
        ("5 adults and 1 child", "5 adults", 2 * (2 / 5) / (2 / 5 + 1)),
        ("to be or not to be", "to be", 2 * (2 / 6) / (2 / 6 + 1)),
        ("an apple\ta day", "Apple, day.", 1.0),
        ("theatre", "the atre", 0.0),
    ],
)
def test_words_are_counted_as_squads_script_does(found: str, right: str, shared: float) -> None:
    assert f1(found, right) == pytest.approx(shared)
    assert f1(right, found) == pytest.approx(shared)
    assert exact_match(found, right) == float(shared == 1.0)


def test_the_right_answer_that_suits_best_counts() -> None:
    right = [Span(0, 1, "five"), Span(0, 1, "five adults")]
    assert best(f1, "five adults", right) == 1
    assert best(exact_match, "six", right) == 0
    assert best(exact_match, "", ()) == best(exact_match, "", [Span(0, 3, "the")]) == 1
    assert best(f1, "five", ()) == 0


def mean_f1(results: list[Found], targets: list[list[Span]], threshold: float) -> float:
    """Count by what a user would do by hand."""
    total = 0.0
    for one, right in zip(results, targets, strict=True):
        likeliest = max(one.spans, key=lambda span: span.score)
        margin = math.log(one.no_answer / likeliest.score)
        total += best(f1, "" if margin > threshold else likeliest.text, right)
    return total / len(results)


def test_no_threshold_has_a_higher_f1() -> None:
    generator = random.Random(5)
    for _ in range(20):
        results, targets = [], []
        for _ in range(12):
            texts = generator.sample(["a b", "b c", "c", "d"], 2)
            # Few values, so that some margins are equal.
            spans = tuple(Span(0, 1, text, generator.choice((0.1, 0.2, 0.4))) for text in texts)
            results.append(Found(spans, generator.choice((0.1, 0.3)), None))
            targets.append([] if generator.random() < 0.4 else [Span(0, 1, "b c")])
        found = best_threshold(results, targets)
        highest = mean_f1(results, targets, found)
        for tried in itertools.chain((number / 10 for number in range(-40, 41)), (-1000, 1000)):
            assert mean_f1(results, targets, tried) <= highest + 1e-12
