import io
import sys
from pathlib import Path

import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import Example, read_examples


def read(path: Path, content: bytes) -> list[tuple[str, str | None, str | None]]:
    path.write_bytes(content)
    return [(example.text, example.pair, example.label) for example in read_examples(path)]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.tsv", b'text\tlabel\nso "good"\tpositive\n', [('so "good"', None, "positive")]),
        ("a.tsv", b"text\tpair\tlabel\r\na\tb\t0\r\n", [("a", "b", "0")]),
        ("a.tsv", b"\xef\xbb\xbftext\na\nb", [("a", None, None), ("b", None, None)]),
        ("a.tsv", b"id\tlabel\ttext\n7\tx\ta\n", [("a", None, "x")]),
        ("a.csv", b'label,text\n1,"a, ""b""\nc"\n', [('a, "b"\nc', None, "1")]),
        (
            "a.jsonl",
            b'{"text": "a", "pair": "b", "label": 1, "id": 3}\n{"text": "c"}\n',
            [("a", "b", "1"), ("c", None, None)],
        ),
        ("a.txt", b"first\tline\nsecond\n", [("first\tline", None, None), ("second", None, None)]),
    ],
)
def test_rows_are_read_by_the_files_ending(tmp_path: Path, name: str, content: bytes, rows: list[object]) -> None:
    assert read(tmp_path / name, content) == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"", r"a.tsv is empty; expected at least one text"),
        ("a.tsv", b"text\tlabel\n", r"a.tsv is empty"),
        ("a.tsv", b"good\tpositive\n", r"a.tsv:1: expected a header with a column 'text', found good, positive"),
        ("a.tsv", b"text\tlabel\na\tb\nc\n", r"a.tsv:3: expected 2 columns as in the header, found 1"),
        ("a.tsv", b"text\tlabel\n \tb\n", r"a.tsv:2: expected a text, found an empty one; leave the line out"),
        ("a.tsv", b"text\na\n\xe9t\xe9\n", r"a.tsv:3: expected UTF-8, found byte 0xe9; convert the file to UTF-8"),
        ("a.csv", b'text,label\n"a,b\n', r"a.csv:2: unexpected end of data; check the quoting"),
        ("a.jsonl", b'{"text": "a"}\n{"text"\n', r"a.jsonl:2: expected a JSON object a line"),
        ("a.jsonl", b'{"text": 5}\n', r"a.jsonl:1: expected a JSON object with a string 'text'"),
        ("a.jsonl", b"[]\n", r"a.jsonl:1: expected a JSON object with a string 'text'"),
        ("a.txt", b"a\n\nb\n", r"a.txt:2: expected a text, found an empty one"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        read(tmp_path / name, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot read .*none.tsv: No such file or directory; check the path"):
        list(read_examples(tmp_path / "none.tsv"))


def test_a_text_of_a_megabyte_is_read(tmp_path: Path) -> None:
    text = "word " * 200_000
    assert read(tmp_path / "a.csv", f"text\n{text}\n".encode()) == [(text, None, None)]


def test_standard_input_is_a_text_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert [example.text for example in read_examples("-")] == ["one", "two"]


def test_rows_are_streamed(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"text\n" + b"fine\n" * 100_000 + b"\xff\n")
    rows = read_examples(tmp_path / "a.tsv")
    assert next(rows).text == "fine"  # the bad last line has not been met
    rows.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("label", "number"), [("positive", 1), ("negative", 0), ("1", 1), ("0", 0)])
def test_a_label_is_a_name_or_a_number(label: str, number: int) -> None:
    assert Example("a", None, label, "x.tsv:2").label_number(["negative", "positive"]) == number


@pytest.mark.parametrize("label", ["Positive", "2", "-1", "1.0", "", None])
def test_any_other_label_is_refused(label: str | None) -> None:
    with pytest.raises(
        EdgeBertError, match=r"x.tsv:2: expected a label of negative, positive \(or its number\), found"
    ):
        Example("a", None, label, "x.tsv:2").label_number(["negative", "positive"])
