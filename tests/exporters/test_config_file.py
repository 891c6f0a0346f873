"""JSON files of checkpoints and single values of config.json are read, or refused in one line that names them."""

from pathlib import Path

import pytest

from edgebert.errors import ExportError
from edgebert.exporters.config_file import check_values, read_config, read_count, read_tokenizer_config, refuse, shown


def test_a_folder_without_the_file_is_told_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot read .*config.json: No such file .*; give the folder of a Hugging"):
        read_config(tmp_path)
    assert read_tokenizer_config(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not JSON: "), ("[1]", r"expected a JSON object, found \[1\]")]
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ExportError, match=message):
        read_config(tmp_path)


@pytest.mark.parametrize("value", [0, -1, True, "3", 2.0, None, 2**24])
def test_counts_are_whole_numbers_above_0(tmp_path: Path, value: object) -> None:
    with pytest.raises(ExportError, match=r"config.json: expected a whole number above 0 for layers, found"):
        read_count(tmp_path, {"layers": value}, "layers")
    with pytest.raises(ExportError, match="for layers, found nothing; "):
        read_count(tmp_path, {}, "layers")


def test_a_key_that_is_there_has_a_supported_value(tmp_path: Path) -> None:
    check_values(tmp_path, {"other": 1}, {"kind": (False, None)})
    check_values(tmp_path, {"kind": None}, {"kind": (False, None)})
    with pytest.raises(
        ExportError, match=r"config.json: kind 3 is not supported; expected false or nothing, use another"
    ):
        check_values(tmp_path, {"kind": 3}, {"kind": (False, None)})


def test_values_are_shown_in_one_short_piece(tmp_path: Path) -> None:
    assert (shown("a"), shown([1]), len(shown("x" * 90))) == ("'a'", "[1]", 43)
    with pytest.raises(ExportError, match=r"config.json: expected this; download the checkpoint again"):
        refuse(tmp_path, "expected this")
