"""The test vectors of tasks hold what this side answers; js/test/tasks.test.js reads the same files."""

import json
from typing import Any

import make_vectors
import pytest
from make_vectors import FOLDER, expected_of, task_of
from vector_tokenizers import TOKENIZERS, recorded, tokenizer_of

LAWS = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
ANSWERED = [name for name, law in LAWS.items() if "tokenizer" in law]


def alike(expected: Any) -> Any:
    """Return what equals a value but for the last digits of float32, which differ between processors."""
    if isinstance(expected, dict):
        return {key: alike(value) for key, value in expected.items()}
    if isinstance(expected, list):
        return list(map(alike, expected))
    return pytest.approx(expected, rel=1e-6, abs=1e-7) if isinstance(expected, float) else expected


def test_there_are_few_of_them_of_every_task() -> None:
    assert len({task["task"] for name in ANSWERED for task in LAWS[name]["tasks"]}) == 6
    assert {LAWS[name]["tokenizer"]["name"] for name in ANSWERED} == set(TOKENIZERS)
    assert sum(file.stat().st_size for file in FOLDER.glob("*.json")) < 200_000


@pytest.mark.parametrize("name", ANSWERED)
def test_rows_and_answers_are_those_of_the_vectors(name: str) -> None:
    law = LAWS[name]
    for number, case in enumerate(law["cases"]):
        found = expected_of(tokenizer_of(law["tokenizer"]["name"]), task_of(law["tasks"][case["task"]]), case)
        expected = case["expected"]
        assert found == {"rows": found["rows"], **alike(expected)}, f"case {number}"


@pytest.mark.parametrize("name", ANSWERED)
def test_recorded_tokens_are_those_of_the_tokenizer(name: str) -> None:
    record = LAWS[name]["tokenizer"]
    found = recorded(record["name"], record["texts"])
    assert json.loads(json.dumps(found)) == record


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("similarities", make_vectors.similarities_of),
        ("decoders", make_vectors.joined_of),
        ("refused", make_vectors.message_of),
        ("blanks", lambda _: make_vectors.blanks()),
    ],
)
def test_the_other_vectors_hold_what_this_side_returns(name: str, function: Any) -> None:
    for case in LAWS[name]["cases"]:
        assert function(case) == alike(case["expected"])
