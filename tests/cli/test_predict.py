import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.inputs.bundle import BUILTIN
from profiles import BEST, LEAST

Edgebert = Callable[..., Any]


def labels(output: str) -> list[str]:
    """Return the label of each line."""
    return [line.split("\t")[0] for line in output.splitlines()]


def test_texts_are_answered(edgebert: Edgebert) -> None:
    done = edgebert("predict", "a great film", "dull")
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [(label, text) for label, _, text in lines] == [("positive", "a great film"), ("negative", "dull")]
    assert done.err == f"answered by {BEST}\n"


def test_answers_as_json(edgebert: Edgebert) -> None:
    answer = json.loads(edgebert("predict", "a great film", "dull", "--json").out)
    assert [prediction["label"] for prediction in answer["predictions"]] == ["positive", "negative"]
    assert answer["selection"]["subnetwork"] == BEST


def test_as_many_labels_as_asked_for(edgebert: Edgebert) -> None:
    assert edgebert("predict", "dull", "--top-k", "all").out.startswith("negative,positive\t0.99")
    (answer,) = json.loads(edgebert("predict", "dull", "--top-k", "1", "--json").out)["predictions"]
    assert [one["label"] for one in answer] == ["negative"]


@pytest.mark.parametrize("options", ["", "--file -", "--batch-size 2", "--latency-ms 1e6 --profile {file}"])
def test_what_is_piped_is_answered_line_by_line(edgebert: Edgebert, profile_file: str, options: str) -> None:
    words = options.format(file=profile_file).split()
    done = edgebert("predict", *words, piped="a great film\ndull\nwarm\n")
    assert labels(done.out) == ["positive", "negative", "positive"]


def test_a_budget_is_for_the_texts_that_are_known(edgebert: Edgebert, profile_file: str) -> None:
    """A short text fits, though the longest input would not; with --length the budget is for that."""
    command = ["predict", "Who wrote Hamlet ?", "--latency-ms", "8", "--profile", profile_file]
    selection = json.loads(edgebert(*command, "--json").out)["selection"]
    assert (selection["subnetwork"], selection["budget"]["length"]) == (BEST, 6)
    assert "8 ms at p95 for 128 tokens" in edgebert(*command, "--length", "128").error(3)


def test_a_name_of_a_file_is_never_taken_for_a_text(
    edgebert: Edgebert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reviews.txt").write_text("dull\n")
    (tmp_path / "dull").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "to answer what it holds, pass --file 'reviews.txt'" in edgebert("predict", "reviews.txt").usage_error(
        "predict"
    )
    message = edgebert("predict", str(BUILTIN), "dull").usage_error("predict")
    assert f"to answer with it, pass --bundle '{BUILTIN}'" in message
    assert labels(edgebert("predict", "dull").out) == ["negative"]  # a folder of that name is no bundle
    assert labels(edgebert("predict", piped="reviews.txt\n").out) != []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected TEXT, --file FILE, or texts on standard input"),
        (["text", "--file", "x"], "expected TEXT or --file, found both"),
        (["--file", "-", "--out", "x.tsv"], "expected --out with TEXT or a plain --file, found a stream; use the shel"),
        (["--file", ""], "expected a file as --file, found an empty name"),
        (["text", "--out", ""], "expected a file for answers, found the folder '.'"),
        (["text", "--out", "/dev/null"], "expected a plain file for answers, found the pipe or device '/dev/null'"),
        (
            ["text", "--out", "x.txt"],
            "expected a file for answers that ends in one of .tsv, .csv, .jsonl, .npy, found 'x.txt'",
        ),
    ],
)
def test_wrong_usage_says_what_is_expected(edgebert: Edgebert, arguments: list[str], message: str) -> None:
    assert message in edgebert("predict", *arguments).usage_error("predict")


def test_what_is_printed_has_no_control_characters(edgebert: Edgebert) -> None:
    text = "a great\x1b[2J film\x07"
    done = edgebert("predict", text)
    assert done.out.endswith("a great\\u001b[2J film\\u0007\n")
    assert edgebert("predict", piped=f"{text}\n").out == done.out


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl"])
def test_answers_are_written_as_the_ending_says(
    edgebert: Edgebert, tmp_path: Path, profile_file: str, ending: str
) -> None:
    """Texts of the command line, and a file within a budget; the same command again has nothing left to do."""
    (tmp_path / "t.txt").write_text("a great film\ndull, long\n")
    sources = (["a great film", "dull, long"], ["--file", str(tmp_path / "t.txt")])
    written = []
    for number, source in enumerate(sources):
        out = tmp_path / f"{number}.{ending}"
        command = ["predict", *source, "--latency-ms", "1e6", "--profile", profile_file, "--out", str(out)]
        assert edgebert(*command).out == ""
        written.append(out.read_text())
        assert json.loads(edgebert(*command, "--json").out)["out"] == str(out)
        assert out.read_text() == written[-1]
    first, second = written
    assert first == second
    assert {"tsv": "\tdull, long\n", "csv": ',"dull, long"\n', "jsonl": ',"text":"dull, long"}\n'}[ending] in first


def test_an_output_of_other_texts_is_left_alone(edgebert: Edgebert, tmp_path: Path) -> None:
    out = tmp_path / "t.tsv"
    out.write_text("text\na great film\n")
    assert f"{out} is not empty, and no .t.tsv.edgebert beside it" in edgebert("predict", "x", "--out", str(out)).error(
        1
    )
    assert out.read_text() == "text\na great film\n"


@pytest.mark.parametrize("name", ["t.tsv", "folder/../t.tsv", "soft.tsv", "hard.tsv"])
def test_a_file_is_never_written_over_with_its_own_answers(edgebert: Edgebert, tmp_path: Path, name: str) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("text\na great film")
    (tmp_path / "folder").mkdir()
    (tmp_path / "soft.tsv").symlink_to(file)
    (tmp_path / "hard.tsv").hardlink_to(file)
    done = edgebert("predict", "--file", str(file), "--out", str(tmp_path / name))
    assert f"expected --out to be another file than --file, found '{tmp_path / name}'" in done.usage_error("predict")
    assert file.read_text() == "text\na great film"


def test_answers_of_another_network_budget_or_form_are_never_mixed(
    edgebert: Edgebert, tmp_path: Path, profile_file: str
) -> None:
    out = tmp_path / "out.tsv"
    command = ["predict", "a great film", "dull", "--out", str(out)]
    assert edgebert(*command, "--subnet", LEAST).status == 0
    for options, message in {
        "": f"subnetwork {LEAST} (now {BEST})",
        f"--subnet {LEAST} --top-k all": "top_k best (now None)",
        f"--subnet {LEAST} --latency-ms 1e6": "latency_ms None (now 1000000.0)",
        f"--latency-ms 1e6 --profile {profile_file}": f"subnetwork {LEAST} (now None)",
    }.items():
        assert message in edgebert(*command, *options.split()).error(1)
    done = edgebert("predict", "a great film", "--out", str(out), "--subnet", LEAST)
    assert "expected no more answers than there are texts" in done.error(1)
    assert edgebert(*command, "--subnet", LEAST, "--threads", "1").status == 0


def test_a_failure_before_the_first_answer_leaves_nothing_behind(edgebert: Edgebert, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("text\n\xe9\n", encoding="latin-1")
    done = edgebert("predict", "--file", str(tmp_path / "t.tsv"), "--out", str(tmp_path / "out.tsv"))
    assert "t.tsv:2: expected UTF-8, found byte 0xe9" in done.error(1)
    assert os.listdir(tmp_path) == ["t.tsv"]


def test_a_file_is_answered_up_to_its_bad_line(edgebert: Edgebert, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_bytes(b"text\n" + b"fine\n" * 64 + b"\xff\n")
    done = edgebert("predict", "--file", str(tmp_path / "d.tsv"))
    assert done.status == 1
    assert len(done.out.splitlines()) == 64
    assert done.err.startswith(f"error: {tmp_path}/d.tsv:66: expected UTF-8, found byte 0xff; convert")


def test_json_that_fails_at_once_prints_nothing(edgebert: Edgebert) -> None:
    assert "standard input is empty" in edgebert("predict", "--json", piped="").error(1)


def test_a_long_file_does_not_have_to_fit_into_memory(tmp_path: Path) -> None:
    """Answers 100 MB of text in a process that needs less than a third of that for it.

    What counts is the memory that was in use (the highest resident set): a limit on addresses would also count what a
    thread's allocator reserves and never touches, which differs from machine to machine.
    """
    line = "a great film " * 80_000 + "\n"
    (tmp_path / "long.txt").write_text(line * 100)
    code = f"""
import resource, sys
from edgebert.cli.main import main
def highest_kib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main(["predict", "a great film", "--subnet", "w0.25-d0.50-int8-static"])
before = highest_kib()
status = main(["predict", "--file", {str(tmp_path / "long.txt")!r}, "--subnet", "w0.25-d0.50-int8-static"])
print(highest_kib() - before)
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    *answers, grown_kib = done.stdout.splitlines()
    assert (done.returncode, len(answers)) == (0, 101), done.stderr
    assert int(grown_kib) < 32 * 1024


def test_an_interrupted_file_is_gone_on_with_to_the_same_result(edgebert: Edgebert, tmp_path: Path) -> None:
    words = ["a", "great", "film", "dull", "it", "is", "long", "but", "every", "minute", "warm", "bad", "plot"]
    texts = [" ".join(words[number % 7 : number % 7 + 1 + number % 6]) for number in range(9000)]
    (tmp_path / "t.tsv").write_text("\n".join(["text", *texts]) + "\n")
    whole, cut = tmp_path / "whole.tsv", tmp_path / "cut.tsv"
    command = ["predict", "--file", str(tmp_path / "t.tsv"), "--subnet", LEAST]

    done = edgebert(*command, "--out", str(whole))
    assert (done.status, done.out, done.err) == (0, "", f"answered by {LEAST}\n")
    assert len(whole.read_text().splitlines()) == 9000
    (tmp_path / ".cut.tsv.edgebert").write_bytes((tmp_path / ".whole.tsv.edgebert").read_bytes())
    for size in (100_001, whole.stat().st_size):
        cut.write_bytes(whole.read_bytes()[:size])
        assert edgebert(*command, "--out", str(cut)).status == 0
        assert cut.read_bytes() == whole.read_bytes()
    assert edgebert(*command).out == whole.read_text()


def test_a_killed_run_is_gone_on_with(edgebert: Edgebert, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a great film\ndull and long\n" * 15_000)
    out = tmp_path / "out.tsv"
    arguments = ["predict", "--file", str(tmp_path / "t.txt"), "--subnet", LEAST, "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "edgebert", *arguments])
    while not out.exists() or not out.stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()

    assert edgebert(*arguments).status == 0
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert len(lines) == 30_000
    assert {(label, text) for label, _, text in lines} == {("positive", "a great film"), ("negative", "dull and long")}


def test_a_pipe_is_answered_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer comes while the writer still waits."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    os.mkfifo(tmp_path / "pipe")
    for file in ("-", str(tmp_path / "pipe")):
        command = [sys.executable, "-m", "edgebert", "predict", "--subnet", LEAST, "--file", file]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin if file == "-" else open(file, "wb") as writer:
            for text in (b"a great film", b"dull"):
                writer.write(text + b"\n")
                writer.flush()
                assert process.stdout.readline().endswith(b"\t" + text + b"\n")


@pytest.mark.parametrize("source", ["--file {file}", "< {file}"])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, source: str) -> None:
    (tmp_path / "t.txt").write_text("a great film\n" * 20_000)
    where = source.format(file=tmp_path / "t.txt")
    command = f"{sys.executable} -m edgebert predict --subnet {LEAST} {where} | head -1"
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"positive\t0\.\d+\ta great film\n", done.stdout)


@pytest.fixture
def pair_bundle(bundle_path: Path, alter_manifest: Callable[..., Path]) -> str:
    """The built-in bundle, which takes pairs: its scores mean nothing."""
    return str(alter_manifest(pairs=True))


def test_a_question_is_asked_of_each_text(edgebert: Edgebert, pair_bundle: str, tmp_path: Path) -> None:
    done = edgebert("predict", "--query", "film?", "a great film", "dull", "--bundle", pair_bundle)
    texts = [line.split("\t")[2] for line in done.out.splitlines()]
    assert texts == ["film? | a great film", "film? | dull"]
    (tmp_path / "texts.txt").write_text("a great film\ndull\n")
    out = tmp_path / "answers.jsonl"
    for _ in range(2):  # the second time all answers are there
        options = ("--file", str(tmp_path / "texts.txt"), "--bundle", pair_bundle, "--out", str(out))
        assert edgebert("predict", "--question", "film?", *options).status == 0
    answers = list(map(json.loads, out.read_text().splitlines()))
    assert [(one["text"], one["pair"]) for one in answers] == [("film?", "a great film"), ("film?", "dull")]

    (tmp_path / "pairs.tsv").write_text("text\tpair\na\tb\n")
    done = edgebert("predict", "--question", "film?", "--file", str(tmp_path / "pairs.tsv"), "--bundle", pair_bundle)
    assert "pairs.tsv:2: expected single texts with --question, found a pair; leave out --question" in done.error(1)


@pytest.mark.parametrize(
    "option",
    [("--max-answer-len", "3"), ("--doc-stride", "3"), ("--handle-impossible-answer",), ("--no-align-to-words",)],
)
def test_options_of_other_tasks_are_refused(edgebert: Edgebert, option: tuple[str, ...]) -> None:
    name = option[0].removeprefix("--no-").removeprefix("--").replace("-", "_")
    assert f"text-classification has no option {name}; expected one of top_k" in edgebert(
        "predict", "a", *option
    ).error(1)
