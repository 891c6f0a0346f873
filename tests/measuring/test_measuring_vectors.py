"""The test vectors of golden outputs and of medians hold what this side finds; js/test reads the same files."""

import law_vectors
import pytest
from law_vectors import Json, with_medians, with_numerics

GOLDEN = law_vectors.read("golden")
MEDIANS = law_vectors.read("medians")


@pytest.mark.parametrize("law", GOLDEN.values(), ids=GOLDEN)
def test_outputs_are_as_far_off_as_the_vectors_say(law: Json) -> None:
    for found, case in zip(with_numerics(law)["cases"], law["cases"], strict=True):
        assert found["expected"] == pytest.approx(case["expected"], rel=1e-6), case["name"]


@pytest.mark.parametrize("law", MEDIANS.values(), ids=MEDIANS)
def test_samples_say_what_the_vectors_say(law: Json) -> None:
    for found, case in zip(with_medians(law)["cases"], law["cases"], strict=True):
        assert found == case
