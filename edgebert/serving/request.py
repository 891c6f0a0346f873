"""The forms in which a call may give its texts: those of transformers' pipelines, tuples and any iterable.

Knows nothing about networks and tokens.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text
from edgebert.tasks.task import Form

# One text or pair, as a string, a (text, pair) tuple or a dict with "text" and perhaps "text_pair", or with "question"
# and "context".
OneText = Text | Mapping[str, str]
CallTexts = OneText | Iterable[OneText]

_KEYS = {"text", "text_pair"}
_QUESTION_KEYS = {"question", "context"}


def form_of(texts: object) -> Form:
    """Return whether a call gives one text or pair by itself, one as a dict, or an iterable of them."""
    # First, since most are: whether something is a Mapping takes 1.7 us to tell, and whether it is a str 0.2.
    if isinstance(texts, str):
        return "text"
    if isinstance(texts, tuple) and len(texts) == 2 and all(isinstance(part, str) for part in texts):
        return "text"
    return "dict" if isinstance(texts, Mapping) else "several"


def read_texts(texts: Any) -> Iterator[Text]:
    """Yield each text or (text, pair) tuple that a call gives; whether it can be answered is not checked yet.

    Raises:
        EdgeBertError: it is neither one text nor an iterable, or a dict has other keys.
    """
    if form_of(texts) != "several":
        return iter([_text_of(texts)])
    # Bytes are an iterable too, of numbers.
    if isinstance(texts, bytes | bytearray) or not hasattr(texts, "__iter__"):
        expected = "expected a text, a (text, pair) tuple, a dict with 'text' or an iterable of these"
        raise EdgeBertError(f"{expected}, found {type(texts).__name__}; pass str or a list of str")
    return map(_text_of, texts)


def _text_of(value: Any) -> Text:
    """Return what a dict holds as a text or a tuple, and anything else as it is: the tokenizer refuses what is none."""
    if isinstance(value, str) or not isinstance(value, Mapping):
        return value
    if value.keys() == _QUESTION_KEYS:
        return value["question"], value["context"]
    if "text" not in value or set(value) - _KEYS:
        found = ", ".join(repr(key) for key in value) or "no key"
        raise EdgeBertError(f"expected a text as a dict of 'text' and perhaps 'text_pair', found {found}; pass these")
    pair = value.get("text_pair")
    return value["text"] if pair is None else (value["text"], pair)
