import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebert import records
from edgebert.errors import ProfileError
from edgebert.records import Line, Record, Sha256


class Point(Record, frozen=True):
    schema_version: int
    x: float
    names: tuple[str, ...]


POINT = Point(schema_version=1, x=0.5, names=("a", "b"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    records.write_bytes(tmp_path / "p.json", records.encode(POINT), ProfileError)
    assert records.read(tmp_path / "p.json", Point, ProfileError) == POINT


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_hold_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"expected a finite number, found .* at \$\[x\]"):
        records.encode(Point(schema_version=1, x=number, names=()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema_version": 2}', r"p.json: expected schema_version 1, found 2; use the version of edgebert"),
        (b'{"schema_version": 1, "x": 1, "names": [], "z": 1}', r"p.json: .*unknown field z"),
        (b'{"schema_version": 1, "x": 1}', r"p.json: .*missing required field names"),
        (b'{"x": 1, "names": []}', r"p.json: .*missing required field schema_version"),
        (b'{"schema_version": 1, "x": 1, "names": ["a", 2]}', r"p.json: Expected str, got int at \$.names\[1\]"),
        (b'{"schema_version": 1, "x": NaN, "names": []}', r"p.json: .*malformed"),
        (b'{"schema_version": 1, "x": 1e999, "names": []}', r"p.json: .*out of range"),
        (b"", r"p.json: .*truncated"),
        (b"\xff\xfe", r"p.json: .*; make it again"),
        (b'{"schema_version": 1, "x": 1, "names": [], "x": 2}', r"expected each key once, found 'x' twice at \$\.x"),
        (b'{"schema_version": 1, "z": ' + b"[" * 100_000, r"p.json: it is nested too deep; make it again"),
        (b"[" * 100_000, r"p.json: .*; make it again"),
        (b'{"schema_version": 1, "x": 1' + b"0" * 400 + b', "names": []}', r"p.json: .*out of range"),
        (b'{"schema_version": 1' + b"0" * 5000 + b', "x": 1, "names": []}', r"p.json: .*out of range"),
        (b'{"schema_version": 1, "x": 1, "names": ["\\ud800"]}', r"p.json: .*; make it again"),
        (b'{"schema_version": 1, "x": 1, "names": ["\x00"]}', r"p.json: .*malformed"),
        (b'{"schema_version": 1, "x": 1, "names": ["\xff"]}', r"p.json: .*utf-8"),
    ],
)
def test_damaged_records_are_refused_with_the_path(content: bytes, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        records.decode(content, Point, "p.json", ProfileError)


class Pair(Record, frozen=True):
    one: Line
    points: tuple[dict[str, Sha256], ...]

    def contradictions(self) -> Iterator[str]:
        if self.one == "odd":
            yield "expected no odd one at $.one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"one": "a", "points": [{}, {"b": "%s", "b": "%s"}]}' % ((b"0" * 64,) * 2),
            r"'b' twice at \$.points\[1\].b;",
        ),
        (b'{"one": "a\\u001b[2J", "points": []}', r"p.json: Expected text without control characters at \$.one;"),
        (b'{"one": "a\\nb", "points": []}', r"p.json: Expected text without control characters at \$.one;"),
        (b'{"one": "a", "points": [{"b": "0g"}]}', r"Expected 64 hexadecimal digits in lower case at \$.points\[0\]"),
        (b'{"one": "odd", "points": []}', r"p.json: expected no odd one at \$.one; make it again"),
    ],
)
def test_values_that_cannot_be_are_refused_with_the_path(content: bytes, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        records.decode(content, Pair, "p.json", ProfileError)


def test_a_gigantic_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "p.json").open("wb") as file:
        file.truncate(1 << 40)  # which takes no room
    with pytest.raises(ProfileError, match=r"cannot read .*p.json: 1099511627776 bytes, and at most 16777216"):
        records.read(tmp_path / "p.json", Point, ProfileError)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot read .*p.json: No such file or directory; check the path"):
        records.read(tmp_path / "p.json", Point, ProfileError)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "p.json").write_bytes(b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProfileError, match=r"cannot write .*p.json: No space left on device; choose another place"):
        records.write_bytes(tmp_path / "p.json", b"new", ProfileError)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"p.json": b"old"}


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str, __: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        records.write_bytes(tmp_path / "p.json", b"new", ProfileError)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_found_before_the_work(tmp_path: Path) -> None:
    records.check_writable(tmp_path / "p.json", ProfileError)
    with pytest.raises(ProfileError, match=r"cannot write .*none.p.json: No such file or directory"):
        records.check_writable(tmp_path / "none" / "p.json", ProfileError)
    with pytest.raises(ProfileError, match="Not a regular file"):
        records.check_writable(tmp_path, ProfileError)
    with pytest.raises(ProfileError, match=r"cannot write .*: A zero byte in the name"):
        records.check_writable(tmp_path / "\0", ProfileError)
    assert list(tmp_path.iterdir()) == []


def test_devices_pipes_and_links_are_neither_read_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(ProfileError, match=r"cannot read /dev/zero: Not a regular file"):
        records.read_bytes(Path("/dev/zero"), ProfileError)
    for name in ("pipe", "link"):
        with pytest.raises(ProfileError, match=r"cannot write .*: Not a regular file"):
            records.write_bytes(tmp_path / name, b"new", ProfileError)
    with pytest.raises(ProfileError, match=r"cannot read .*pipe: Not a regular file"):
        records.read_bytes(tmp_path / "pipe", ProfileError)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_file_that_a_library_writes_is_put_in_place_in_one_step(tmp_path: Path) -> None:
    def disk_full(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("write failed")

    records.replace_file(tmp_path / "state", lambda path: path.write_bytes(b"old"), ProfileError)
    with pytest.raises(ProfileError, match=r"cannot write .*state: write failed; choose another place or make room"):
        records.replace_file(tmp_path / "state", disk_full, ProfileError)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"state": b"old"}
