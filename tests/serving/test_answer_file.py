import csv
import errno
import json
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
from edgebert.serving.answer_file import Kept, append, form_of, kept, line_of
from edgebert.tasks.task import Answer

LABELS = ("negative", "positive", 'odd, "quoted"')
TEXTS: list[Text] = ["a great film", 'tab\tand  \u2028 line, "so"', ("first", "caf\u00e9 \U0001f600"), "dull", "dull"]
BEST: list[Answer] = [{"label": LABELS[number % 3], "score": number / 7} for number in range(len(TEXTS))]
SOME: list[Answer] = [[one, {"label": "negative", "score": 0.0}] for one in BEST]
ENDINGS = (".tsv", ".csv", ".jsonl")


def written(path: Path, answers: list[Answer]) -> bytes:
    append(path, Kept(0, 0), zip(TEXTS, answers, strict=True))
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], bytes]:
    """The whole content of files in all forms, of one answer for each text and of several."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        (ending, several): written(folder / f"{several}{ending}", SOME if several else BEST)
        for ending in ENDINGS
        for several in (False, True)
    }


def test_an_answer_is_a_line_of_label_score_and_text() -> None:
    assert line_of("tab\tand\nline", {"label": "positive", "score": 0.98765}) == "positive\t0.9877\ttab and line\n"
    assert line_of(("a", "b"), {"label": "x", "score": 1.0}) == "x\t1.0000\ta | b\n"
    assert line_of("a", [{"label": "x", "score": 1.0}, {"label": "y", "score": 0.5}]) == "x,y\t1.0000,0.5000\ta\n"


def test_other_programs_read_what_is_written(whole: dict[tuple[str, bool], bytes]) -> None:
    rows = list(csv.DictReader(whole[".csv", False].decode().splitlines()))
    assert rows[1] == {"label": "positive", "score": "0.1429", "text": 'tab and line, "so"'}
    assert rows[2]["text"] == "first | caf\u00e9 \U0001f600"
    objects = [json.loads(line) for line in whole[".jsonl", False].splitlines()]
    assert objects[1] == {"label": "positive", "score": 1 / 7, "text": TEXTS[1]}
    assert objects[2] == {"label": LABELS[2], "score": 2 / 7, "text": "first", "pair": "caf\u00e9 \U0001f600"}
    assert json.loads(whole[".jsonl", True].splitlines()[0]) == {"answers": SOME[0], "text": "a great film"}


@settings(max_examples=500)
@given(ending=st.sampled_from(ENDINGS), several=st.booleans(), share=st.floats(0, 1))
def test_a_file_that_was_cut_anywhere_becomes_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory,
    whole: dict[tuple[str, bool], bytes],
    ending: str,
    several: bool,
    share: float,
) -> None:
    content, path = whole[ending, several], tmp_path_factory.mktemp("answers") / f"out{ending}"
    cut = content[: round(share * len(content))]
    path.write_bytes(cut)
    before = kept(path, iter(TEXTS), LABELS)
    assert before.size_bytes == cut.rfind(b"\n") + 1
    append(path, before, zip(TEXTS[before.lines :], (SOME if several else BEST)[before.lines :], strict=True))
    assert path.read_bytes() == content
    assert kept(path, iter(TEXTS), LABELS) == Kept(len(TEXTS), len(content))


def test_a_file_that_is_not_there_is_begun(tmp_path: Path) -> None:
    assert kept(tmp_path / "out.tsv", iter(TEXTS), LABELS) == Kept(0, 0)


def test_other_endings_are_refused_by_name() -> None:
    form_of(Path("answers.JSONL"))
    with pytest.raises(EdgeBertError, match=r"ends in one of \.tsv, \.csv, \.jsonl, found 'out\.txt'; rename it"):
        form_of(Path("out.txt"))


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        (".tsv", "positive\t0.9\tanother text\n", r":1: expected the answer to 'a great film', found 'positive\\t0.9"),
        (".tsv", "good\t0.9\ta great film\n", r":1: expected the answer to 'a great film', found 'good\\t0.9"),
        (".tsv", "text\tlabel\n", r":1: expected the answer to 'a great film', found 'text\\tlabel'; it is not of"),
        (".tsv", "negative\t0.9\ta great film\n" * 6, r":6: expected no more answers than there are texts; it is not"),
        (
            ".tsv",
            "my only copy",
            r":1: expected a label, found 'my only copy'; it is not of these texts and this bundle",
        ),
        (".tsv", "neg\t0.9", r":1: expected a label, found 'neg\\t0.9'; .*: choose another file or remove it"),
        (".csv", "text,label\n", r":1: expected 'label,score,text', found 'text,label"),
        (
            ".csv",
            "label,score,text\ngood,0.9,a great film\n",
            r":2: expected the answer to 'a great film', found 'good",
        ),
        (".csv", "label,score,text\nnegative|", r":2: expected a label, found 'negative\|'; it is not of these"),
        (".jsonl", '{"label":"negative","text":"a great film"}\n', r":1: expected the answer to 'a great film', found"),
        (".jsonl", '{"answers":[],"text":"a great film"}\n', r":1: expected the answer to 'a great film', found"),
        (".jsonl", "[1]\n", r":1: expected the answer to 'a great film', found '\[1\]'"),
        (".jsonl", '{"text":"a great film"', r":1: expected a label, found '\{\"text\":"),
    ],
)
def test_what_belongs_to_other_texts_is_refused_and_untouched(
    tmp_path: Path, ending: str, content: str, message: str
) -> None:
    path = tmp_path / f"out{ending}"
    path.write_text(content)
    with pytest.raises(EdgeBertError, match=message):
        kept(path, iter(TEXTS), LABELS)
    assert path.read_text() == content


def test_what_was_answered_before_an_error_is_written(tmp_path: Path) -> None:
    def answers() -> Iterator[tuple[Text, Answer]]:
        yield from zip(TEXTS[:2], BEST[:2], strict=True)
        raise EdgeBertError("a bad line")

    with pytest.raises(EdgeBertError, match="a bad line"):
        append(tmp_path / "out.tsv", Kept(0, 0), answers())
    assert kept(tmp_path / "out.tsv", iter(TEXTS), LABELS).lines == 2


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "folder.tsv"
    folder.mkdir()
    with pytest.raises(EdgeBertError, match=r"cannot read .*: Is a directory; choose another file"):
        kept(folder, iter(TEXTS), LABELS)
    with pytest.raises(EdgeBertError, match=r"cannot write .*: No such file or directory; choose another place or"):
        append(tmp_path / "nowhere" / "out.tsv", Kept(0, 0), [])


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
