"""Questions about texts in the forms of SQuAD and of the Hugging Face hub. Knows nothing about columns and models."""

import re
from collections.abc import Iterator
from typing import Any

from edgebert.errors import EdgeBertError
from edgebert.inputs.json_rows import JsonReader, Row
from edgebert.inputs.text_file import TextFile

# Texts of answers, and where each begins in the context; None where nothing says so.
Answers = tuple[tuple[str, ...], tuple[int, ...] | None]

# An object on many lines, or one whose list "data" has articles, perhaps behind a version.
_NESTED = re.compile(
    r'\s*\{\s*(?:$|(?:"\w+"\s*:\s*(?:"[^"\\]*"|[\w.]+)\s*,\s*)*"data"\s*:\s*\[\s*\{\s*"(?:title|para))'
)
_ADVICE = "give the file as it was downloaded, or a row for each question"


def is_nested(first: str) -> bool:
    """Return whether a file of JSON that begins with this line has the form of SQuAD's files."""
    return _NESTED.match(first) is not None


def question_rows(file: TextFile, first: str) -> Iterator[tuple[str, Row]]:
    """Yield a row for each question of a file of SQuAD, and where it stands: the line of its article, and its id.

    No more than an article is in memory.

    Raises:
        EdgeBertError: the file is no JSON of this form; names the line.
    """
    reader = JsonReader(file, first)
    for key in reader.members():
        if key != "data":
            reader.value()
            continue
        for number, article in reader.objects():
            yield from _of_article(article, f"{file.name}:{number}", str(number))
    reader.check_end()


def _of_article(article: Row, place: str, number: str) -> Iterator[tuple[str, Row]]:
    for paragraph in _objects(article, "paragraphs", place):
        for one in _objects(paragraph, "qas", place):
            row = {"question": one.get("question"), "context": paragraph.get("context"), "answers": one.get("answers")}
            # Answers that only seem to be right stand elsewhere, as `plausible_answers`.
            if one.get("is_impossible") is True:
                row["answers"] = []
            yield f"{number}, question {str(one.get('id', ''))[:40]}", row


def _objects(holder: Row, key: str, place: str) -> list[Row]:
    found = holder.get(key)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        what = f"expected a list '{key}' of objects as in SQuAD's files, found {str(found)[:40]}"
        raise EdgeBertError(f"{place}: {what}; {_ADVICE}")
    return found


def answers_in(value: Any) -> Answers | None:
    """Return the answers that an object or a list of objects holds, as {"text", "answer_start"}; None if none does."""
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        texts, starts = [one.get("text") for one in value], [one.get("answer_start") for one in value]
    else:
        return None
    texts = texts if isinstance(texts, list) else [texts]
    if not all(isinstance(text, str) for text in texts):
        return None
    return tuple(texts), starts_in(starts, len(texts))


def starts_in(value: Any, count: int) -> tuple[int, ...] | None:
    """Return where so many answers begin, from numbers or their digits; None where a value is something else."""
    values = [str(one).strip() for one in (value if isinstance(value, list) else [value])]
    if len(values) != count or not all(one.isdecimal() and len(one) < 10 for one in values):
        return None
    return tuple(map(int, values))
