from collections.abc import Iterator

import numpy as np
import pytest

from edgebert.errors import EdgeBertError
from edgebert.serving.request import form_of, read_texts


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
        ({"question": "a", "context": "b"}, [("a", "b")]),
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
        ({"question": "a"}, "found 'question'"),
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


def test_the_form_of_a_call_is_known() -> None:
    assert [form_of(one) for one in ("a", ("a", "b"))] == ["text"] * 2
    assert [form_of(one) for one in ({"text": "a"}, {"question": "a", "context": "b"})] == ["dict"] * 2
    assert [form_of(one) for one in (["a"], ("a", "b", "c"), (["a"], "b"), 5)] == ["several"] * 4
