import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.cli.output import print_json, print_table
from edgebert.errors import printable

HARMFUL = "a\x1b[2J\r\x00\x07\x7f\x9b31m\u202eb\u2028"


def test_what_moves_a_cursor_or_turns_text_around_is_escaped() -> None:
    shown = "a\\u001b[2J\\u000d\\u0000\\u0007\\u007f\\u009b31m\\u202eb\\u2028"
    assert printable(HARMFUL) == shown
    assert printable("caf\u00e9 \u6620\u753b\tand\n") == "caf\u00e9 \u6620\u753b\tand\n"


@given(st.text())
def test_json_is_read_back_as_it_was(text: str) -> None:
    assert json.loads(printable(json.dumps({"text": text}, ensure_ascii=False))) == {"text": text}


def test_a_cell_stays_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([[f"{HARMFUL}\nb", "1"], ["c", "22"]], ["name", "number"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "\x1b" not in lines[2]
    assert lines[3].endswith(" 22")


def test_a_json_object_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": HARMFUL})
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert json.loads(printed) == {"name": HARMFUL}


def test_a_path_that_is_no_unicode_is_printed_with_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"out": ["a\udcff"]})
    assert json.loads(capsys.readouterr().out) == {"out": ["a\\udcff"]}
