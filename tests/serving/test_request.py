from collections.abc import Iterator

import numpy as np
import pytest

from edgebert.errors import EdgeBertError
from edgebert.serving.request import is_single, read_texts, shaped

GOOD, BAD = {"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}


class Series:
    """What a column of a data frame looks like from outside."""

    def __init__(self, values: list[object]):
        self._values = values

    def __iter__(self) -> Iterator[object]:
        return iter(self._values)


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a", ["a"]),
        (("a", "b"), [("a", "b")]),
        ({"text": "a"}, ["a"]),
        ({"text": "a", "text_pair": None}, ["a"]),
        ({"text": "a", "text_pair": "b"}, [("a", "b")]),
        (["a", "b"], ["a", "b"]),
        (("a", "b", "c"), ["a", "b", "c"]),
        ((("a", "b"), ("c", "d")), [("a", "b"), ("c", "d")]),
        ([{"text": "a", "text_pair": "b"}, ("c", "d"), "e"], [("a", "b"), ("c", "d"), "e"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (Series(["a", "b"]), ["a", "b"]),
        ((letter for letter in "ab"), ["a", "b"]),
        ([], []),
    ],
)
def test_every_form_is_read(given: object, texts: list[object]) -> None:
    assert list(read_texts(given)) == texts


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (5, "found int"),
        (None, "found NoneType"),
        (b"good", "found bytes"),
        ({}, "found no key"),
        ({"text_pair": "b"}, "found 'text_pair'"),
        ({"text": "a", "pair": "b"}, "found 'text', 'pair'"),
        ([{"sentence": "a"}], "found 'sentence'"),
    ],
)
def test_what_is_no_form_of_texts_is_named(given: object, found: str) -> None:
    with pytest.raises(EdgeBertError, match=f"expected a text.*, {found}; pass"):
        list(read_texts(given))


def test_an_iterable_is_read_as_far_as_it_is_asked_for() -> None:
    def texts() -> Iterator[str]:
        yield "a"
        raise AssertionError("read too far")

    assert next(read_texts(texts())) == "a"


def test_answers_have_the_pipelines_form() -> None:
    best, ranked = [GOOD], [[GOOD, BAD]]
    for single in ("a", ("a", "b")):
        assert shaped(best, single, "best") == [GOOD]
        assert shaped(ranked, single, None) == [GOOD, BAD]
    assert shaped(best, {"text": "a"}, "best") == GOOD
    assert shaped(ranked, {"text": "a"}, None) == [GOOD, BAD]
    assert shaped(best, ["a"], "best") == [GOOD]
    assert shaped(ranked, ["a"], 2) == [[GOOD, BAD]]
    assert not is_single(("a", "b", "c"))
