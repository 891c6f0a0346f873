import gzip
import os
from pathlib import Path

import pytest

from edgebert.errors import EdgeBertError
from edgebert.inputs.text_file import is_stream, opened


def test_lines_keep_their_ends_and_pieces_go_on_behind_them(tmp_path: Path) -> None:
    (tmp_path / "a.CSV.GZ").write_bytes(gzip.compress(b"\xef\xbb\xbfone\rtwo\r\nthree\nfour\nfive"))
    with opened(tmp_path / "a.CSV.GZ") as file:
        assert file.ending == ".csv"
        lines = file.lines(file.line())
        assert [next(lines), next(lines)] == ["one\r", "two\r\n"]
        assert (file.piece(0), file.piece(0), file.line()) == ("three\nfour\nfive", "", "")


def test_a_byte_that_is_no_text_is_named_with_its_line_wherever_it_is_met(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\n\xc3\xa9\nthree \xff\n")
    message = r"a:3: expected UTF-8, found byte 0xff; convert the file to UTF-8"
    for read in (lambda file: list(file.lines(file.line())), lambda file: file.piece(0)):
        with pytest.raises(EdgeBertError, match=message), opened(tmp_path / "a") as file:
            read(file)


def test_what_can_be_read_once_only_is_a_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_stream("-")
    assert is_stream(tmp_path / "pipe")
    assert is_stream("/dev/null")
    assert not any(map(is_stream, (tmp_path / "file", tmp_path, tmp_path / "none")))
