"""What the law of selection says to people is what the test vectors say; js/test/laws.test.js reads the same file."""

import law_vectors
import pytest

WORDS = law_vectors.read("words")["selections"]
LAWS = law_vectors.read()


def test_every_case_of_the_law_has_its_words() -> None:
    cases = {name: [case["name"] for case in law["cases"]] for name, law in LAWS.items()}
    assert {name: list(law["cases"]) for name, law in WORDS["laws"].items()} == cases


@pytest.mark.parametrize("name", LAWS)
def test_the_words_are_those_of_the_vectors(name: str) -> None:
    assert law_vectors.words_of(LAWS[name]) == WORDS["laws"][name]
