import io
import json
import sys
from pathlib import Path

import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import read_examples


def read(path: Path, content: bytes) -> list[tuple[str, str | None, str | tuple[str, ...] | None]]:
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


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("sentence\tlabel", ("a", None, "b")),
        ("text\ttext_pair\tlabels", ("a", "b", "c")),
        ("sentence1\tsentence2\tlabel", ("a", "b", "c")),
        ("label\tpremise\thypothesis", ("b", "c", "a")),
        ("question\tcontext", ("a", "b", None)),
        ("text\tquestion\tlabel", ("a", None, "c")),
        ("premise\ttext", ("b", None, None)),
    ],
)
def test_common_names_of_columns_are_known(tmp_path: Path, header: str, row: object) -> None:
    cells = "\t".join("abc"[: header.count("\t") + 1])
    assert read(tmp_path / "a.tsv", f"{header}\n{cells}\n".encode()) == [row]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("text,sentence", "expected one column for the text, found text and sentence; rename the others"),
        ("text,premise,hypothesis", "expected one column for the text, found text and premise"),
        ("sentence1,sentence2,premise,hypothesis", "expected one column for the text, found sentence1 and premise"),
        ("text,pair,text_pair", "expected one column for the pair, found pair and text_pair"),
        ("premise,hypothesis,pair", "expected one column for the pair, found hypothesis and pair"),
        ("text,label,labels", "expected one column for the label, found label and labels"),
        ("text,text", "expected one column for the text, found text and text"),
        ("sentence1,label", "expected a header with a column 'text', found sentence1, label"),
    ],
)
def test_columns_that_could_be_meant_both_are_named(tmp_path: Path, header: str, message: str) -> None:
    cells = ",".join("abcd"[: header.count(",") + 1])
    with pytest.raises(EdgeBertError, match=rf"a.csv:1: {message}"):
        read(tmp_path / "a.csv", f"{header}\n{cells}\n".encode())
    row = json.dumps(dict(zip(header.split(","), "abcd", strict=False)))
    if len(set(header.split(","))) == len(header.split(",")):
        with pytest.raises(EdgeBertError, match=r"a.jsonl:1: expected "):
            read(tmp_path / "a.jsonl", row.encode())


@pytest.mark.parametrize(
    ("label", "read_label"),
    [('["a", "b"]', ("a", "b")), ("[]", ()), ("[1, 2]", ("1", "2")), ("1", "1"), ("4.5", "4.5"), ("null", None)],
)
def test_labels_of_json_are_text_numbers_or_lists(tmp_path: Path, label: str, read_label: object) -> None:
    content = f'{{"text": "x", "labels": {label}}}\n'.encode()
    assert read(tmp_path / "a.jsonl", content) == [("x", None, read_label)]


@pytest.mark.parametrize("label", ['{"a": 1}', '[["a"]]', "[null]"])
def test_any_other_label_of_json_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(EdgeBertError, match=r"a.jsonl:1: expected a label as text, a number or a list of them, found"):
        read(tmp_path / "a.jsonl", f'{{"text": "x", "label": {label}}}\n'.encode())
