import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import data_files
import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.dataset import read_examples


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    data_files.RIGHT,
    ids=data_files.named(data_files.RIGHT),  # type: ignore[arg-type]
)
def test_every_file_of_people_is_read(tmp_path: Path, name: str, content: bytes, rows: list[data_files.Row]) -> None:
    assert list(map(data_files.as_row, read_examples(data_files.place(tmp_path, name, content)))) == rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", data_files.as_lines({"tokens": ["New York", "", "\U0001f600", "x"], "tags": ["O"] * 4})),
        ("a.conll", "New York\tO\n\tO\n\U0001f600\tO\nx\tO\n".encode()),
    ],
)
def test_words_of_a_list_are_known_by_their_characters(tmp_path: Path, name: str, content: bytes) -> None:
    (row,) = read_examples(data_files.place(tmp_path, name, content))
    assert row.words is not None
    assert [row.text[start:end] for start, end in row.words] == ["New York", "", "\U0001f600", "x"]
    (plain,) = read_examples(data_files.place(tmp_path, "a.tsv", b"tokens\na b\n"))
    assert plain.words is None


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    data_files.WRONG,
    ids=data_files.named(data_files.WRONG),  # type: ignore[arg-type]
)
def test_or_refused_with_the_line(tmp_path: Path, name: str, content: bytes, wrong: str) -> None:
    with pytest.raises(EdgeBertError) as problem:
        list(read_examples(data_files.place(tmp_path, name, content)))
    assert str(problem.value).startswith(data_files.message(tmp_path, wrong))
    assert len(str(problem.value)) < len(str(tmp_path)) + 200
    assert "\n" not in str(problem.value)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot read .*none.tsv: No such file or directory; check the path"):
        list(read_examples(tmp_path / "none.tsv"))
    with pytest.raises(EdgeBertError, match=r"cannot read .*: Is a directory; check the path"):
        list(read_examples(tmp_path))
    with pytest.raises(EdgeBertError, match=r"cannot read .*: embedded null byte; check the path"):
        list(read_examples(f"{tmp_path}/a\0b"))


def test_the_rows_before_a_bad_one_are_read(tmp_path: Path) -> None:
    for bad in (b"\xff\n", b"a\tb\n"):
        rows = read_examples(data_files.place(tmp_path, "a.tsv", b"text\n" + b"fine\n" * 100 + bad))
        assert [next(rows).text for _ in range(100)] == ["fine"] * 100
        with pytest.raises(EdgeBertError, match=r"a.tsv:102: expected"):
            next(rows)


def test_standard_input_is_a_text_a_line_or_what_its_first_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"a\nb\n", b"id,text\n1,a\n2,b\n", b'{"text": "a"}\n{"text": "b"}\n'):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert [example.text for example in read_examples("-", streams=True)] == ["a", "b"]
        assert sys.stdin.read() == ""  # and it is still open
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EdgeBertError, match="standard input is closed; pass a file"):
        list(read_examples("-", streams=True))


@pytest.mark.parametrize("name", ["pipe.txt", "pipe.jsonl", "pipe.csv"])
def test_a_pipe_is_read_row_by_row_where_that_is_asked_for(tmp_path: Path, name: str) -> None:
    """Whoever reads a file twice is told, and does not wait for a second writer for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(EdgeBertError, match=r"expected a plain file, since it is read more than once, found .*pipe"):
        list(read_examples(tmp_path / name))
    header, row = (b"text\n", b"a\n") if name.endswith("csv") else (b"", b'{"text": "a"}\n')
    rows = read_examples(tmp_path / name, streams=True)
    first_is_read = threading.Event()

    def write() -> None:
        with open(tmp_path / name, "wb", buffering=0) as pipe:
            pipe.write(header + row)
            assert first_is_read.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    assert next(rows).text == "a"
    first_is_read.set()
    writer.join()
    assert list(rows) == []


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "txt"])
def test_no_more_of_a_file_is_in_memory_than_what_is_at_hand(tmp_path: Path, form: str) -> None:
    row, count = '{"text": "' + "a film " * 140 + '"}', 2000
    rows = [row] * count
    content = {"json": "[" + ",\n".join(rows) + "]", "csv": "text\n" + "\n".join(one[10:-2] for one in rows)}
    path = data_files.place(tmp_path, f"a.{form}", content.get(form, "\n".join(rows)).encode())
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_examples(path)) == count
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # of 2 MB
    finally:
        tracemalloc.stop()
