import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text
from edgebert.serving.answer_file import Kept, append, kept, line_of
from edgebert.serving.predictor import Prediction

LABELS = ("negative", "positive")
TEXTS: list[Text] = ["a great film", "tab\tand  \u2028 line", ("first", "caf\u00e9 \U0001f600"), "dull", "dull"]
ANSWERS: list[tuple[Text, Prediction]] = [
    (text, {"label": LABELS[number % 2], "score": number / 7}) for number, text in enumerate(TEXTS)
]
LINES = "".join(line_of(text, answer) for text, answer in ANSWERS).encode()


def test_an_answer_is_a_line_of_label_score_and_text() -> None:
    assert line_of("tab\tand\nline", {"label": "positive", "score": 0.98765}) == "positive\t0.9877\ttab and line\n"
    assert line_of(("a", "b"), {"label": "x", "score": 1.0}) == "x\t1.0000\ta | b\n"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(LINES)))
def test_a_file_that_was_cut_anywhere_becomes_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("answers") / "out.tsv"
    path.write_bytes(LINES[:cut])
    before = kept(path, iter(TEXTS), LABELS)
    assert before == Kept(LINES[:cut].count(b"\n"), LINES[:cut].rfind(b"\n") + 1)
    append(path, before, ANSWERS[before.lines :])
    assert path.read_bytes() == LINES


def test_a_file_that_is_not_there_is_begun(tmp_path: Path) -> None:
    assert kept(tmp_path / "out.tsv", iter(TEXTS), LABELS) == Kept(0, 0)
    append(tmp_path / "out.tsv", Kept(0, 0), ANSWERS)
    assert (tmp_path / "out.tsv").read_bytes() == LINES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("positive\t0.9\tanother text\n", r":1: expected the answer to 'a great film', found 'positive' for 'another"),
        ("good\t0.9\ta great film\n", r":1: expected the answer to 'a great film', found 'good' for 'a great film'"),
        ("text\tlabel\n", r":1: expected the answer to 'a great film', found 'text' for ''; it is not of these texts"),
        (LINES.decode() * 2, r":10: expected no more answers than there are texts; it is not of these texts and this"),
        ("my only copy", r":1: expected a label, found 'my only copy'; it is not of these texts and this bundle"),
        ("neg\t0.9", r":1: expected a label, found 'neg\\t0.9'; .*: choose another file or remove it"),
    ],
)
def test_what_belongs_to_other_texts_is_refused_and_untouched(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "out.tsv").write_text(content)
    with pytest.raises(EdgeBertError, match=message):
        kept(tmp_path / "out.tsv", iter(TEXTS), LABELS)
    assert (tmp_path / "out.tsv").read_text() == content


def test_what_was_answered_before_an_error_is_written(tmp_path: Path) -> None:
    def answers() -> Iterator[tuple[Text, Prediction]]:
        yield from ANSWERS[:2]
        raise EdgeBertError("a bad line")

    with pytest.raises(EdgeBertError, match="a bad line"):
        append(tmp_path / "out.tsv", Kept(0, 0), answers())
    assert kept(tmp_path / "out.tsv", iter(TEXTS), LABELS).lines == 2


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot read .*: Is a directory; choose another file"):
        kept(tmp_path, iter(TEXTS), LABELS)
    with pytest.raises(EdgeBertError, match=r"cannot write .*: No such file or directory; choose another place or"):
        append(tmp_path / "nowhere" / "out.tsv", Kept(0, 0), ANSWERS)


def test_a_full_disk_is_said_and_gone_on_from(tmp_path: Path) -> None:
    """Files may not grow beyond 20 kB here: what a full disk does, in a process of its own."""

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    texts = [f"a great film {number}" for number in range(1000)]
    (tmp_path / "t.txt").write_text("\n".join(texts))
    out = tmp_path / "out.tsv"
    command = [sys.executable, "-m", "edgebert", "predict", "--file", str(tmp_path / "t.txt"), "--out", str(out)]
    command += ["--subnet", "w0.25-d0.50-int8"]
    # Else Python leaves truncated bytecode behind.
    small = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    full = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small_disk, env=small)
    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr == f"error: cannot write {out}: {os.strerror(errno.EFBIG)}; choose another place or make room\n"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[2] for line in out.read_text().splitlines()] == texts
