import numpy as np
import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example
from edgebert.inputs.tokenization import Tokens
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.spans import Found, Span
from edgebert.tasks.task import Outputs

TASK = QuestionAnswering(())
CONTEXT = "five adults and a child"
SPANS = [None, None, None, (0, 4), (5, 11), (12, 15), (16, 17), (18, 23), None]
ROW = Tokens(list(range(9)), [0, 0, 0, 1, 1, 1, 1, 1, 1], SPANS, CONTEXT)


def outputs(**logits: dict[int, float]) -> Outputs:
    """Return logits that are 0 but for those given by their places."""
    found = {name: np.zeros((1, 9), np.float32) for name in TASK.OUTPUTS}
    for name, values in logits.items():
        for place, value in values.items():
            found[f"{name}_logits"][0, place] = value
    return found


def answer(found: Outputs, task: QuestionAnswering = TASK, **options: object) -> object:
    asked = task.options(options)
    (one,) = task.answers([task.joined(task.results(found, [ROW], asked), asked)], asked)
    return one


def texts(found: object) -> list[str]:
    return [one["answer"] for one in (found if isinstance(found, list) else [found])]


def test_an_answer_is_the_likeliest_span_of_the_context() -> None:
    # The highest logits are of the question and behind the context.
    found = answer(outputs(start={1: 99, 3: 5}, end={2: 99, 4: 5, 8: 99}))
    assert found == {"score": pytest.approx(0.9, abs=0.1), "start": 0, "end": 11, "answer": "five adults"}


def test_an_answer_begins_before_it_ends_and_has_so_many_tokens_at_most() -> None:
    logits = outputs(start={7: 9, 3: 4}, end={3: 9, 7: 4})
    assert texts(answer(logits)) == ["five"] or texts(answer(logits)) == ["child"]
    long = outputs(start={3: 9}, end={7: 9, 4: 3})
    assert texts(answer(long)) == [CONTEXT]
    assert texts(answer(long, max_answer_len=4)) == ["five adults"]


def test_several_answers_come_best_first_and_no_more_than_there_are() -> None:
    found = answer(outputs(start={3: 2}, end={4: 2}), top_k=3)
    assert texts(found)[0] == "five adults"
    scores = [one["score"] for one in found]  # type: ignore[attr-defined]
    assert scores == sorted(scores, reverse=True)
    assert len(texts(answer(outputs(), top_k=500))) == 15


def test_the_same_words_in_two_windows_are_one_answer() -> None:
    asked = TASK.options({})
    both = [Found((Span(0, 4, "Five", 0.4),), 0.3, None), Found((Span(30, 34, "five", 0.3),), 0.1, None)]
    joined = TASK.joined(both, asked)
    assert joined.spans == (Span(0, 4, "Five", 0.7),)
    assert joined.no_answer == 0.1


def test_no_answer_is_one_where_it_is_asked_for_or_a_threshold_is_known() -> None:
    clear = outputs(start={0: 5, 3: 4}, end={0: 5, 3: 4})  # e^2 times likelier than "five"
    none = {"score": pytest.approx(0.5, abs=0.3), "start": 0, "end": 0, "answer": ""}
    assert texts(answer(clear)) == ["five"]
    assert answer(clear, handle_impossible_answer=True) == none
    assert texts(answer(clear, top_k=2, handle_impossible_answer=True)) == ["", "five"]
    for threshold, expected in ((1.9, ""), (2.1, "five")):
        task = QuestionAnswering((), threshold)
        assert texts(answer(clear, task)) == [expected]
        assert texts(answer(clear, task, handle_impossible_answer=True)) == [expected]
        assert texts(answer(clear, task, handle_impossible_answer=False)) == ["five"]


def test_a_context_without_tokens_has_no_answer() -> None:
    asked, row = TASK.options({}), Tokens([1, 2, 3], [0, 0, 0], [None] * 3, "\u200b")
    logits = {name: np.zeros((1, 3), np.float32) for name in TASK.OUTPUTS}
    (found,) = TASK.results(logits, [row], asked)
    assert TASK.answers([found], asked) == [{"score": 1.0, "start": 0, "end": 0, "answer": ""}]


def test_no_length_and_no_number_of_answers_are_refused() -> None:
    for name, value in (("top_k", None), ("max_answer_len", 0), ("doc_stride", -1), ("top_k", True)):
        with pytest.raises(EdgeBertError, match=f"expected a {name} of . or more, found {value}; pass a whole number"):
            TASK.options({name: value})
    assert TASK.options({"doc_stride": 0}) is not None


def row(label: object, starts: tuple[int, ...] | None = None, pair: str | None = CONTEXT) -> Example:
    return Example("who?", pair, label, "x.tsv:2", starts)  # type: ignore[arg-type]


def test_targets_are_answers_and_their_places() -> None:
    assert TASK.target(row("a", (4,))) == (Span(5, 6, "a"),)  # places have moved by one
    assert TASK.target(row("a", (16,))) == (Span(16, 17, "a"),)
    assert TASK.target(row(("five", " child "))) == (Span(0, 4, "five"), Span(18, 23, "child"))
    for none in ("", (), (" ",)):
        assert TASK.target(row(none)) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            row("six"),
            "x.tsv:2: expected an answer that stands in its context, found 'six'; correct it, or leave the row",
        ),
        (row(None), "x.tsv:2: expected the answers to a question, found none; give the column 'answers', or 'answer'"),
        (row("five", None, None), "x.tsv:2: expected a question and its context, found a single text; pass both"),
    ],
)
def test_rows_that_are_no_questions_are_refused(given: Example, message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        TASK.target(given)


def test_rows_that_say_where_answers_are_mean_this_task() -> None:
    assert QuestionAnswering.is_meant_by(row("five", (0,)))
    assert QuestionAnswering.is_meant_by(row((), ()))
    assert QuestionAnswering.is_meant_by(row(""))
    for other in (row("five"), row("entailment", (3,)), row(None), row("five", (0,), None)):
        assert not QuestionAnswering.is_meant_by(other)


def found_text(text: str, score: float = 0.5) -> Found:
    return Found((Span(0, len(text), text, score),), 0.1, None)


def test_metrics_are_f1_and_exact_match() -> None:
    results = [found_text("five adults"), found_text("the child"), found_text("and")]
    targets = [(Span(0, 4, "five"),), (Span(18, 23, "child"),), ()]
    metrics = TASK.metrics(results, targets)
    assert metrics == {"f1": pytest.approx((2 / 3 + 1 + 0) / 3), "exact_match": pytest.approx(1 / 3)}
    assert list(metrics) == list(TASK.METRICS)
    low, high = TASK.interval(results, targets)
    assert low < metrics["f1"] < high
    gained, possible = TASK.counts(results, targets)
    assert gained.sum() / possible.sum() == pytest.approx(metrics["f1"], abs=1e-4)
    assert TASK.fidelity(results, [results[0], results[1], found_text("an")]) == pytest.approx(2 / 3)


def test_a_threshold_is_found_where_some_questions_have_no_answer() -> None:
    results = [Found((Span(0, 4, "five", 0.5),), 0.1, None), Found((Span(0, 4, "five", 0.2),), 0.4, None)]
    answered = [(Span(0, 4, "five"),)] * 2
    assert TASK.tuned(results, answered) == (TASK, results)
    task, tuned = TASK.tuned(results, [answered[0], ()])
    assert task.metrics(tuned, [answered[0], ()])["f1"] == 1
    (threshold,) = task.subnet_facts().values()
    assert np.log(0.1 / 0.5) < threshold < np.log(0.4 / 0.2)


def test_confidence_is_that_of_the_answer_or_that_there_is_none() -> None:
    results = [found_text("five", 0.6), Found((Span(0, 4, "five", 0.1),), 0.7, None), found_text("five", 1.4)]
    assert TASK.confidences(results).tolist() == pytest.approx([0.6, 0.7, 1.0])


def test_answers_are_wrong_where_a_clear_token_is_another() -> None:
    right = outputs(start={3: 5}, end={4: 5})
    for found, count in ((right, 0), (outputs(start={3: 5}, end={5: 5}), 1), (outputs(start={2: 9}, end={4: 5}), 1)):
        assert TASK.wrong_answers(found, right, tolerance=1.0) == count
    assert TASK.wrong_answers(outputs(), right, tolerance=3.0) == 0


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"start_logits": np.zeros((1, 9), np.float32)}, "expected an output end_logits, found 'start_logits'"),
        (
            {name: np.zeros((1, 8), np.float32) for name in TASK.OUTPUTS},
            r"expected start_logits in float32 \(1 batch, 9",
        ),
        ({name: np.full((1, 9), np.nan, np.float32) for name in TASK.OUTPUTS}, "expected finite start_logits"),
    ],
)
def test_outputs_that_no_answer_can_be_made_of_are_refused(found: Outputs, message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        TASK.check_outputs(found, (1, 9))
    TASK.check_outputs(outputs(), (1, 9))


def test_a_line_shows_the_answer() -> None:
    one = {"score": 0.5, "start": 0, "end": 4, "answer": "five"}
    assert TASK.cells(one) == ("five", "0.5000")
    assert TASK.cells([one, one]) == ("five,five", "0.5000,0.5000")
    assert TASK.known_cells is None


def test_logits_that_are_far_apart_are_no_problem() -> None:
    far = outputs(start={3: 3000, 7: -3000}, end={4: 3000, 3: -3000})
    assert texts(answer(far)) == ["five adults"]
    assert len(texts(answer(far, top_k=50))) == 15
