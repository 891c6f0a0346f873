import csv
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.choosing.selection import Budget
from edgebert.errors import EdgeBertError
from edgebert.inputs.tokenization import Text
from edgebert.serving.answer_file import Kept, check_place, form_of, line_of, opened
from edgebert.serving.answer_origin import AnswerOrigin
from edgebert.subnet import Way
from edgebert.tasks.task import Answer
from edgebert.tasks.text_classification import TextClassification

LABELS = ("negative", "positive", 'odd, "quoted"')
TASK = TextClassification(LABELS)
TEXTS: list[Text] = ["a great film", 'tab\tand  \u2028 line, "so"', ("first", "caf\u00e9 \U0001f600"), "dull", "dull"]
BEST: list[Answer] = [{"label": LABELS[number % 3], "score": number / 7} for number in range(len(TEXTS))]
SOME: list[Answer] = [[one, {"label": "negative", "score": 0.0}] for one in BEST]
ENDINGS = (".tsv", ".csv", ".jsonl")


WAY = Way(engine="cpu", device="cpu", flavor="fused", threads=2, options=())
ORIGIN = AnswerOrigin(
    2, "0.1.0", "ab" * 32, None, "w0.25-d0.50-int8-static", WAY, Budget(length=128), {"top_k": "best"}
)


def go_on(path: Path, answers: Sequence[Answer], origin: AnswerOrigin = ORIGIN) -> Kept:
    """Write what a file lacks of the answers to all texts, and return what it held before."""
    with opened(path, iter(TEXTS), TASK, origin) as out:
        out.append(zip(TEXTS[out.kept.lines :], answers[out.kept.lines :], strict=True))
        return out.kept


def with_record(path: Path, content: bytes) -> Path:
    """Put content at a path of which the record beside it says that it was made as answers now would be."""
    go_on(path, BEST)
    path.write_bytes(content)
    return path


def written(path: Path, answers: list[Answer]) -> bytes:
    go_on(path, answers)
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
    answer = {"label": "positive", "score": 0.98765}
    assert line_of(TASK, "tab\tand\nline", answer) == "positive\t0.9877\ttab and line\n"
    assert line_of(TASK, ("a", "b"), answer) == "positive\t0.9877\ta | b\n"
    assert line_of(TASK, "a", [answer, {"label": "y", "score": 0.5}]) == "positive,y\t0.9877,0.5000\ta\n"


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
    content, answers = whole[ending, several], SOME if several else BEST
    path = tmp_path_factory.mktemp("answers") / f"out{ending}"
    cut = content[: round(share * len(content))]
    with_record(path, cut)
    assert go_on(path, answers).lines == max(0, cut.count(b"\n") - (ending == ".csv"))
    assert path.read_bytes() == content
    assert go_on(path, answers) == Kept(len(TEXTS), len(content))
    assert sorted(os.listdir(path.parent)) == [f".out{ending}.edgebert", f"out{ending}"]


def test_other_endings_are_refused_by_name() -> None:
    form_of(Path("answers.JSONL"))
    with pytest.raises(
        EdgeBertError, match=r"ends in one of \.tsv, \.csv, \.jsonl, \.npy, found 'out\.txt'; rename it"
    ):
        form_of(Path("out.txt"))


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        (".tsv", "positive\t0.9\tanother text\n", r":1: expected the answer to 'a great film', found 'positive\\t0.9"),
        (".tsv", "good\t0.9\ta great film\n", r":1: expected the answer to 'a great film', found 'good\\t0.9"),
        (".tsv", "text\tlabel\n", r":1: expected the answer to 'a great film', found 'text\\tlabel'; it is not of"),
        (
            ".tsv",
            "".join(line_of(TASK, text, BEST[0]) for text in [*TEXTS, "a"]),
            r":6: expected no more answers than there are texts; it is not",
        ),
        (
            ".tsv",
            "my only copy",
            r":1: expected a label, found 'my only copy'; it is not of these texts and this bundle",
        ),
        (".tsv", "neg\t0.9", r":1: expected a label, found 'neg\\t0.9'; .*: choose another file, or remove it"),
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
    path = with_record(tmp_path / f"out{ending}", content.encode())
    with pytest.raises(EdgeBertError, match=message):
        go_on(path, BEST)
    assert path.read_text() == content


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_text_that_was_changed_in_the_middle_is_found(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    go_on(path, BEST)
    before = path.read_bytes()
    with (
        pytest.raises(EdgeBertError, match=r"out.*:\d: expected the answer to 'another', found .*; it is not of"),
        opened(path, iter([TEXTS[0], "another", *TEXTS[2:]]), TASK, ORIGIN),
    ):
        pass
    assert path.read_bytes() == before


def test_texts_that_came_to_the_end_are_answered_too(tmp_path: Path) -> None:
    go_on(tmp_path / "out.tsv", BEST)
    with opened(tmp_path / "out.tsv", iter([*TEXTS, "one more"]), TASK, ORIGIN) as out:
        assert out.kept.lines == len(TEXTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subnetwork": "w1.00"}, r"subnetwork w0.25-d0.50-int8-static \(now w1.00\)"),
        ({"bundle_sha256": "cd" * 32}, r"bundle_sha256 abab\w* \(now cdcd\w*\)"),
        ({"edgebert_version": "0.2.0"}, r"edgebert_version 0.1.0 \(now 0.2.0\)"),
        ({"options": {"top_k": 2}}, r"top_k best \(now 2\)"),
        ({"options": {"top_k": None}}, r"top_k best \(now None\)"),
        ({"budget": Budget(length=128, latency_ms=5.0)}, r"latency_ms None \(now 5.0\)"),
        (
            {"way": msgspec.structs.replace(WAY, flavor="portable")},
            r"way cpu, fused, 1 \w+ \(now cpu, portable, 1 \w+\)",
        ),
    ],
)
def test_answers_of_another_origin_are_never_mixed_in(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Be the file finished or not, it is refused in a line that says what differs and what to do."""
    path = tmp_path / "out.tsv"
    whole = written(path, BEST)
    for content in (whole, whole[:40]):
        path.write_bytes(content)
        with pytest.raises(EdgeBertError, match=f"was begun with {message}; give the same options, choose"):
            go_on(path, BEST, msgspec.structs.replace(ORIGIN, **change))
        assert path.read_bytes() == content
    go_on(path, BEST)
    assert path.read_bytes() == whole

    # Who removes it, as the message says, begins anew.
    path.unlink()
    assert go_on(path, BEST, msgspec.structs.replace(ORIGIN, **change)).lines == 0
    assert path.read_bytes() == whole


def test_the_number_of_threads_changes_no_answer(tmp_path: Path) -> None:
    go_on(tmp_path / "out.tsv", BEST)
    go_on(tmp_path / "out.tsv", BEST, msgspec.structs.replace(ORIGIN, way=msgspec.structs.replace(WAY, threads=1)))


def test_what_nothing_tells_the_origin_of_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    whole = written(path, BEST)
    (tmp_path / ".out.tsv.edgebert").unlink()
    with pytest.raises(EdgeBertError, match=r"no \.out\.tsv\.edgebert beside it says what made it; choose"):
        go_on(path, BEST)
    (tmp_path / ".out.tsv.edgebert").write_text("{}")
    with pytest.raises(EdgeBertError, match=r"\.out\.tsv\.edgebert: .*missing required field"):
        go_on(path, BEST)
    assert path.read_bytes() == whole


def test_a_record_that_was_torn_before_the_first_answer_does_no_harm(tmp_path: Path) -> None:
    path = with_record(tmp_path / "out.tsv", b"")
    (tmp_path / ".out.tsv.edgebert").write_text('{"schema')
    assert go_on(path, BEST).lines == 0


def test_what_was_answered_before_an_error_is_written(tmp_path: Path) -> None:
    def answers(count: int) -> Iterator[tuple[Text, Answer]]:
        yield from zip(TEXTS[:count], BEST[:count], strict=True)
        raise EdgeBertError("a bad line")

    for count in (0, 2):
        with (
            pytest.raises(EdgeBertError, match="a bad line"),
            opened(tmp_path / "out.csv", iter(TEXTS), TASK, ORIGIN) as out,
        ):
            out.append(answers(count))
        assert len(os.listdir(tmp_path)) == count  # nothing, or the answers and their record
    assert go_on(tmp_path / "out.csv", BEST).lines == 2


def test_one_process_at_a_time_writes_a_file_by_whatever_name(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    (tmp_path / "folder").mkdir()
    with opened(path, iter(TEXTS), TASK, ORIGIN) as out:
        (tmp_path / "soft.tsv").symlink_to(path)
        (tmp_path / "hard.tsv").hardlink_to(path)
        for name in ("out.tsv", "folder/../out.tsv", "soft.tsv", "hard.tsv"):
            with pytest.raises(EdgeBertError, match="is being written by another process; wait until it is done, or"):
                go_on(tmp_path / name, BEST)
        out.append(zip(TEXTS, BEST, strict=True))
    assert go_on(tmp_path / "soft.tsv", BEST).lines == len(TEXTS)
    assert (tmp_path / "soft.tsv").is_symlink()


def test_what_is_no_place_for_answers_is_said_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder.tsv").mkdir()
    os.mkfifo(tmp_path / "pipe.tsv")
    (tmp_path / "null.tsv").symlink_to("/dev/null")
    for name, message in {
        "folder.tsv": "expected a file for answers, found the folder '.*folder.tsv'; name a file in it",
        "pipe.tsv": "expected a plain file for answers, found the pipe or device '.*pipe.tsv'; use the shell's >",
        "null.tsv": "expected a plain file for answers, found the pipe or device '.*null.tsv'; use the shell's >",
    }.items():
        with pytest.raises(EdgeBertError, match=message):
            check_place(tmp_path / name)
        with pytest.raises(EdgeBertError, match=message):
            go_on(tmp_path / name, BEST)
    with pytest.raises(EdgeBertError, match=r"cannot write .*: No such file or directory; choose another place or"):
        go_on(tmp_path / "nowhere" / "out.tsv", BEST)


def test_a_text_of_a_megabyte_is_gone_on_from(tmp_path: Path) -> None:
    """Also as CSV, whose reader would refuse fields of more than 128 kB."""
    texts: list[Text] = ["word " * 200_000, "b"]
    for ending in ENDINGS:
        for start in (0, 1):
            with opened(tmp_path / f"out{ending}", iter(texts), TASK, ORIGIN) as out:
                assert out.kept.lines == start
                out.append([(texts[start], BEST[start])])


def test_a_label_with_white_space_stays_one_cell(tmp_path: Path) -> None:
    label = "a\tb\nc"
    for ending in ENDINGS:
        for start in (0, 1):
            with opened(tmp_path / f"out{ending}", iter(["x", "y"]), TextClassification((label,)), ORIGIN) as out:
                assert out.kept.lines == start
                out.append([("xy"[start], {"label": label, "score": 1.0})])
    assert line_of(TASK, "x", {"label": label, "score": 1.0}) == "a b c\t1.0000\tx\n"


def test_a_full_disk_is_said_and_gone_on_from(tmp_path: Path) -> None:
    """Files may not grow beyond 20 kB here: what a full disk does, in a process of its own."""

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    texts = [f"a great film {number}" for number in range(1000)]
    (tmp_path / "t.txt").write_text("\n".join(texts))
    out = tmp_path / "out.tsv"
    command = [sys.executable, "-m", "edgebert", "predict", "--file", str(tmp_path / "t.txt"), "--out", str(out)]
    command += ["--subnet", "w0.25-d0.50-int8-static"]
    # Else Python leaves truncated bytecode behind.
    small = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    full = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small_disk, env=small)
    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr == f"error: cannot write {out}: {os.strerror(errno.EFBIG)}; choose another place or make room\n"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[2] for line in out.read_text().splitlines()] == texts
