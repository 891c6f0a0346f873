import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.inputs import text_file
from edgebert.inputs.json_rows import Row, json_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def rows_of(path: Path) -> list[tuple[int, Row]]:
    with text_file.opened(path) as file:
        return list(json_rows(file, file.line()))


@settings(max_examples=100)
@given(rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1), indent=st.none() | st.integers(0, 3))
def test_an_array_and_lines_are_read_as_json_reads_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    assert [row for _, row in rows_of(path)] == rows
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert rows_of(path) == list(enumerate(rows, 1))


def test_objects_that_lie_across_pieces_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "_CHUNK_CHARACTERS", 1)
    rows = [{"text": f'{number} and {{["so" on'} for number in range(50)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    assert [row for _, row in rows_of(tmp_path / "a.json")] == rows
    assert [number for number, _ in rows_of(tmp_path / "a.json")] == list(range(2, 152, 3))
