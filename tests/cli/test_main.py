import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.cli.main import main
from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, profile_of_costs

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def profile_file(builtin: Bundle, tmp_path: Path) -> str:
    """A made-up profile in which 128 tokens cost 40 and 10 ms."""
    profile_of_costs(builtin, {BEST: 40.0, LEAST: 10.0}).save(tmp_path / "profile.json")
    return str(tmp_path / "profile.json")


def one_line_error(done: "subprocess.CompletedProcess[str]", status: int) -> str:
    """Return the message of a command that failed as it should."""
    assert done.returncode == status
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_help_names_every_verb(edgebert_command: Command) -> None:
    done = edgebert_command("--help")
    assert done.returncode == 0
    for verb in ("profile", "select", "predict", "evaluate", "inspect", "devices", "export", "train"):
        assert f"\n    {verb} " in done.stdout


def test_texts_are_predicted(edgebert_command: Command, profile_file: str) -> None:
    done = edgebert_command("predict", "a great film", "dull", "--latency-ms", "40", "--profile", profile_file)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(label, text) for label, _, text in lines] == [("positive", "a great film"), ("negative", "dull")]
    assert done.stderr == f"answered by {BEST}\n"


def test_predictions_as_json(edgebert_command: Command) -> None:
    answer = json.loads(edgebert_command("predict", "a great film", "dull", "--json").stdout)
    assert [prediction["label"] for prediction in answer["predictions"]] == ["positive", "negative"]
    assert answer["selection"]["subnetwork"] == BEST


def test_standard_input_is_predicted_line_by_line(edgebert_command: Command) -> None:
    done = edgebert_command("predict", "--file", "-", input="a great film\ndull\n")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["positive", "negative"]


def test_a_file_is_predicted_up_to_its_bad_line(edgebert_command: Command, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_bytes(b"text\n" + b"fine\n" * 64 + b"\xff\n")
    done = edgebert_command("predict", "--file", str(tmp_path / "d.tsv"))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 64
    assert done.stderr.startswith(f"error: {tmp_path}/d.tsv:66: expected UTF-8, found byte 0xff; convert")


def test_a_long_file_does_not_have_to_fit_into_memory(tmp_path: Path) -> None:
    """Predicts 100 MB of text in a process that may only grow by less than that."""
    line = "a great film " * 80_000 + "\n"
    (tmp_path / "long.txt").write_text(line * 100)
    code = f"""
import resource, sys
import edgebert.cli.main
from edgebert.cli.main import main
main(["predict", "a great film", "--subnet", "w0.25-d0.50-int8"])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 80_000_000, resource.RLIM_INFINITY))
sys.exit(main(["predict", "--file", {str(tmp_path / "long.txt")!r}, "--subnet", "w0.25-d0.50-int8"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (0, 101), done.stderr


def test_an_interrupted_file_is_gone_on_with_to_the_same_result(edgebert_command: Command, tmp_path: Path) -> None:
    sentence = "a great film dull it is long but every minute is a pleasure warm bad plot"
    words = sentence.split()
    texts = [" ".join(words[number % 7 : number % 7 + 1 + number % 9]) for number in range(9000)]
    (tmp_path / "t.tsv").write_text("\n".join(["text", *texts]) + "\n")
    whole, cut = tmp_path / "whole.tsv", tmp_path / "cut.tsv"
    command = ["predict", "--file", str(tmp_path / "t.tsv"), "--subnet", LEAST, "--out"]
    done = edgebert_command(*command, str(whole))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"answered by {LEAST}\n")
    assert len(whole.read_text().splitlines()) == 9000
    for size in (0, 5, 100_001, 300_007, whole.stat().st_size):
        cut.write_bytes(whole.read_bytes()[:size])
        assert edgebert_command(*command, str(cut)).returncode == 0
        assert cut.read_bytes() == whole.read_bytes()
    printed = edgebert_command(*command[:-1])
    assert printed.stdout == whole.read_text()


def test_a_killed_run_is_gone_on_with(edgebert_command: Command, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a great film\ndull and long\n" * 30_000)
    arguments = ["predict", "--file", str(tmp_path / "t.txt"), "--subnet", LEAST, "--out", str(tmp_path / "out.tsv")]
    process = subprocess.Popen([sys.executable, "-m", "edgebert", *arguments])
    while not (tmp_path / "out.tsv").exists() or not (tmp_path / "out.tsv").stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    written = (tmp_path / "out.tsv").stat().st_size
    assert edgebert_command(*arguments).returncode == 0
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert len(lines) == 60_000 > written / 20
    assert {tuple(line.split("\t")[::2]) for line in lines} == {
        ("positive", "a great film"),
        ("negative", "dull and long"),
    }


def test_an_output_of_other_texts_is_left_alone(edgebert_command: Command, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a great film\n")
    out = str(tmp_path / "t.txt")
    message = one_line_error(edgebert_command("predict", "--file", out, "--out", out), 1)
    assert message.startswith(f"error: {out}:1: expected the answer to 'a great film', found 'a great film' for ''; it")
    assert (tmp_path / "t.txt").read_text() == "a great film\n"


def test_a_pipe_is_answered_line_by_line(tmp_path: Path) -> None:
    """The first answer comes while the writer still waits."""
    os.mkfifo(tmp_path / "pipe")
    for file in ("-", str(tmp_path / "pipe")):
        command = [sys.executable, "-u", "-m", "edgebert", "predict", "--subnet", LEAST, "--file", file]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin if file == "-" else open(file, "wb") as writer:
            for text in (b"a great film", b"dull"):
                writer.write(text + b"\n")
                writer.flush()
                assert process.stdout.readline().endswith(b"\t" + text + b"\n")


def test_a_reader_of_a_file_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a great film\n" * 50_000)
    command = f"{sys.executable} -m edgebert predict --file {tmp_path}/t.txt --subnet {LEAST} | head -1"
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("positive\t")


def test_a_reader_that_has_seen_enough_is_no_error(edgebert_command: Command) -> None:
    command = f"yes 'a great film' | head -2000 | {sys.executable} -m edgebert predict --file - | head -1"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("positive\t")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", ""], "expected a text, found an empty one; leave it out"),
        (
            ["predict", "good", "--subnet", "w9"],
            "no sub-network 'w9' in bundle 'movie-reviews-minilm-l6'; choose one of",
        ),
        (
            ["predict", "good", "--bundle", "nowhere"],
            "expected a folder with bundle.json; make one with edgebert export",
        ),
        (["predict", "--file", "nowhere.tsv"], "cannot read nowhere.tsv: No such file or directory; check the path"),
        (["inspect", "nowhere"], "nothing to inspect at nowhere: expected a bundle, a checkpoint or a profile"),
        (["evaluate", "nowhere.tsv"], "cannot read nowhere.tsv: No such file or directory"),
        (["select", "--latency-ms", "5", "--profile", "nowhere.json"], "cannot read nowhere.json: No such file"),
        (["profile", "--lengths", "500"], "expected a length of 2 to 128, found 500"),
        (["profile", "--provider", "NPU"], "no provider 'NPU' here; choose one of CPUExecutionProvider"),
        (["profile", "--host", ""], "expected a host"),
        (["profile", "--out", "/nowhere/p.json"], "cannot write /nowhere/p.json: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(
    edgebert_command: Command, arguments: list[str], message: str
) -> None:
    assert message in one_line_error(edgebert_command(*arguments), 1)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["predict"],
        ["predict", "text", "--file", "x"],
        ["predict", "good", "--out", "x"],
        ["predict", "--file", "-", "--out", "x"],
        ["predict", "--file", "x.tsv", "--out", "x", "--latency-ms", "5"],
        ["predict", "--file", "x.tsv", "--out", "x", "--json"],
        ["predict", "good", "--latency-ms", "0"],
        ["predict", "good", "--latency-ms", "nan"],
        ["predict", "good", "--memory-mb", "-1"],
        ["select", "--percentile", "100"],
        ["select", "--tolerance", "2"],
        ["profile", "--lengths", "16,x"],
        ["profile", "--subnets", ","],
        ["profile", "--emulate", "cpus=0"],
        ["profile", "--emulate", "disks=1"],
        ["profile", "--requests-per-s", "-1"],
        ["export", "checkpoint"],
        ["export", "checkpoint", "--out", "b", "--widths", "1.5"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: edgebert" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["select"], ["predict", "good"]])
def test_a_budget_that_cannot_be_met_is_status_3(edgebert_command: Command, profile_file: str, verb: list[str]) -> None:
    done = edgebert_command(*verb, "--latency-ms", "5", "--profile", profile_file)
    nearest = f"the nearest is {LEAST} with 10.00 ms. Raise the budget"
    assert nearest in one_line_error(done, 3)


def test_a_selection_and_its_reasons_are_shown(edgebert_command: Command, profile_file: str) -> None:
    done = edgebert_command("select", "--latency-ms", "20", "--profile", profile_file)
    assert f"{LEAST} is the best within 20 ms at p95 for 128 tokens" in done.stdout
    assert "40.00 ms is over 20 ms" in done.stdout
    assert "it is not in the profile" in done.stdout


def test_a_selection_as_json_has_the_contracts_keys(edgebert_command: Command, profile_file: str) -> None:
    chosen = json.loads(edgebert_command("select", "--latency-ms", "20", "--profile", profile_file, "--json").stdout)
    keys = [
        "subnetwork",
        "method",
        "provider",
        "flavor",
        "threads",
        "predicted_ms",
        "peak_memory_mb",
        "quality",
        "budget",
        "rejected",
    ]
    assert list(chosen) == keys
    assert chosen["predicted_ms"] == 10.0
    (lost,) = [one for one in chosen["rejected"] if one["subnetwork"] == BEST]
    assert list(lost) == ["subnetwork", "provider", "flavor", "threads", "reason"]
    assert lost["reason"] == "40.00 ms is over 20 ms"


def test_a_profile_is_printed_written_and_inspected(edgebert_command: Command, builtin: Bundle, tmp_path: Path) -> None:
    out = str(tmp_path / "p.json")
    arguments = ["--quick", "--lengths", "8,16", "--subnets", f"{BEST},{LEAST}", "--threads", "1"]
    done = edgebert_command("profile", *arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    table = done.stdout
    assert BEST in table
    assert f"{builtin.subnet(BEST).quality.value:.3f}" in table
    assert edgebert_command("inspect", out).stdout == table
    assert json.loads(edgebert_command("inspect", out, "--json").stdout) == json.loads(Path(out).read_text())


def test_a_profile_as_json_is_all_of_standard_output(edgebert_command: Command) -> None:
    done = edgebert_command("profile", "--quick", "--lengths", "8", "--subnets", LEAST, "--json")
    keys = [
        "schema_version",
        "bundle_sha256",
        "created_at",
        "edgebert_version",
        "onnxruntime_version",
        "provider_versions",
        "device",
        "settings",
        "subnetworks",
        "left_out",
        "stability",
    ]
    assert list(json.loads(done.stdout)) == keys


def test_sub_networks_are_added_to_a_profile(edgebert_command: Command, tmp_path: Path) -> None:
    out = str(tmp_path / "p.json")
    arguments = ["profile", "--quick", "--lengths", "8", "--threads", "1", "--out", out, "--subnets"]
    assert edgebert_command(*arguments, LEAST).returncode == 0
    done = edgebert_command(*arguments, BEST, "--emulate", "cpus=1,memory-mb=1000")
    assert done.returncode == 1
    assert "error: nothing can be added to the profile: it holds other shapes" in done.stderr
    assert edgebert_command(*arguments, BEST).returncode == 0
    assert [one["id"] for one in json.loads(Path(out).read_text())["subnetworks"]] == [LEAST, BEST]


def test_an_emulated_machine_is_marked(edgebert_command: Command) -> None:
    arguments = ["profile", "--quick", "--lengths", "8", "--subnets", LEAST, "--emulate", "cpus=1,memory-mb=1000"]
    assert "EMULATED, limited to 1 processors and 1000 MB" in edgebert_command(*arguments).stdout


def test_an_evaluation_is_printed(edgebert_command: Command, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("text\tlabel\na great film\tpositive\ndull\tpositive\n")
    arguments = ["evaluate", str(tmp_path / "d.tsv"), "--subnets", BEST]
    assert "0.5000" in edgebert_command(*arguments).stdout
    result = json.loads(edgebert_command(*arguments, "--json").stdout)
    (one,) = result["subnetworks"]
    assert list(one) == ["id", "provider", "metrics", "ci95", "samples", "seconds"]
    assert (result["samples"], one["metrics"]) == (2, {"accuracy": 0.5})


def test_the_builtin_bundle_is_inspected(edgebert_command: Command, builtin: Bundle) -> None:
    text = edgebert_command("inspect").stdout
    for subnet in builtin.manifest.subnetworks:
        assert subnet.id in text
    assert len(json.loads(edgebert_command("inspect", "--json").stdout)["subnetworks"]) == 12


def test_this_device_is_shown(edgebert_command: Command) -> None:
    assert "CPUExecutionProvider" in edgebert_command("devices").stdout
    assert json.loads(edgebert_command("devices", "--json").stdout)["providers"] == ["CPUExecutionProvider"]


def test_ctrl_c_in_a_profile_is_status_130_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("old")
    command = [sys.executable, "-m", "edgebert", "profile", "--out", str(tmp_path / "p.json")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A background job of a shell ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the profiler and to what it measures
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "error: interrupted\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"p.json": "old"}


def test_a_full_disk_leaves_the_old_profile(tmp_path: Path, builtin: Bundle) -> None:
    """Files may not grow beyond 1 kB here: what a full disk does, in a process of its own."""
    (tmp_path / "p.json").write_text("old")

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [sys.executable, "-m", "edgebert", "profile", "--quick", "--lengths", "8"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "p.json")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_disk,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # else Python leaves truncated bytecode behind
    )
    assert done.returncode == 1
    assert "error: cannot write" in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"p.json": "old"}


def test_an_output_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "edgebert", "devices"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device; check the place that is written to\n"


@pytest.mark.parametrize(
    ("redirection", "status", "errors"),
    [(">&-", 0, ""), ("2>&-", 0, ""), ("--file - <&-", 1, "error: standard input is closed; pass a file\n")],
)
def test_closed_streams_are_no_traceback(redirection: str, status: int, errors: str) -> None:
    text = "" if "--file" in redirection else "good"
    command = f"{sys.executable} -m edgebert predict {text} {redirection}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.replace(f"answered by {BEST}\n", "")) == (status, errors)


def test_a_locale_without_the_characters_gets_escapes(edgebert_command: Command) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = edgebert_command("predict", "caf\u00e9", env=environment)
    assert (done.returncode, done.stdout.split("\t")[2]) == (0, "caf\\xe9\n")


def test_json_that_fails_at_once_prints_nothing(edgebert_command: Command) -> None:
    one_line_error(edgebert_command("predict", "--json", "--file", "-", input=""), 1)
