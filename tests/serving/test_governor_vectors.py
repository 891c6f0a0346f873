"""The test vectors of the governor: it passes them, and so does its law as a plain program below."""

import math

import law_vectors
import pytest
from law_vectors import Json, with_answers

LAWS = law_vectors.read("governor")


def by_the_law(law: Json) -> Json:
    """Return the answers as the README beside the vectors tells them, without any code of edgebert's."""
    steps = []
    for number, step in enumerate(law["steps"]):
        before = law["steps"][:number]
        answer = answer_to(step, before, law["ways"]) if "answer" in step else None
        steps.append(step if answer is None else {**step, "answer": answer})
    return {**law, "steps": steps}


def answer_to(step: Json, before: list[Json], ways: Json) -> float:
    if step["call"] == "overhead_ms":
        overheads = [0, *(one["ms"] for one in before if one["call"] == "observe_overhead")][-32:]
        return float(sorted(overheads)[(len(overheads) - 1) // 2])

    asked = ways[step["way"]]
    seen = [one for one in before if one["call"] == "observe" and ways[one["way"]] == asked]
    late = [one for one in seen if one["observed_ms"] > 1.1 * one["expected_ms"]][-32:]
    if step["call"] == "slow_down":
        return 1 + mean([one["observed_ms"] / one["expected_ms"] - 1 for one in late], late, seen, step["at_s"])
    return mean([float(would_take(step, one) > step["allowed_ms"]) for one in late], late, seen, step["at_s"])


def would_take(step: Json, late: Json) -> float:
    expected, times = step["expected_ms"], late["observed_ms"] / late["expected_ms"]
    if expected > late["expected_ms"] and times > 2:
        return float(max(2 * expected, expected + late["observed_ms"] - late["expected_ms"]))
    return float(expected * times)


def mean(values: list[float], late: list[Json], seen: list[Json], now_s: float) -> float:
    sum_of_late = math.fsum(value * math.exp(one["at_s"] - now_s) for value, one in zip(values, late, strict=True))
    return sum_of_late / (math.fsum(math.exp(one["at_s"] - now_s) for one in seen) + 2)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("answered", [with_answers, by_the_law])
def test_answers_are_those_of_the_vectors(law: Json, answered: law_vectors.Answered) -> None:
    for found, step in zip(answered(law)["steps"], law["steps"], strict=True):
        if "answer" in step:
            assert found["answer"] == pytest.approx(step["answer"], rel=1e-9), step
