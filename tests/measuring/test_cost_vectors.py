"""The test vectors of costs hold what this side expects; js/test/cost-model.test.js reads the same files."""

import law_vectors
import pytest
from law_vectors import Json, with_costs

LAWS = law_vectors.read("costs")


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_expected_costs_and_bounds_are_those_of_the_vectors(law: Json) -> None:
    for found, case in zip(with_costs(law)["cases"], law["cases"], strict=True):
        for name in ("expected_ms", "bound_ms"):
            assert found[name] == (case[name] and pytest.approx(case[name], rel=1e-9)), case


def test_the_cost_of_an_encoder_is_the_one_that_was_put_in() -> None:
    cases = [case for case in LAWS["exact"]["cases"] if case["percentile"] == 50 and case["batch_size"] <= 8]
    assert len(cases) >= 5
    for case in cases:
        batch, length = case["batch_size"], case["length"]
        cost_ms = 0.5 + batch * (0.25 + length * (0.03125 + length * 0.0001))
        assert case["expected_ms"] == pytest.approx(cost_ms, rel=1e-9)
