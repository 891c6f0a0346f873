import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.cli.main import main
from edgebert.inputs.bundle import Bundle
from profiles import BEST

Edgebert = Callable[..., Any]
Alter = Callable[..., Path]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_is_answered_without_anything_heavy() -> None:
    """All that help needs: neither libraries nor the packages that need them."""
    code = """
import sys
from edgebert.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
known = {name.partition(".")[0] for name in sys.modules} & set("msgspec numpy onnxruntime tokenizers tqdm".split())
ours = {".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("edgebert.")}
light = {"cli", "elastic", "errors", "standard_output", "telemetry", "version"}
print(sorted(known), sorted(ours - {f"edgebert.{name}" for name in light}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[] []\n")


def test_ctrl_c_is_caught_while_the_command_line_is_still_being_imported() -> None:
    code = """
import os, signal, sys
from edgebert.cli.main import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "edgebert.cli.parser":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
sys.exit(main(["devices"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_importing_the_entry_point_imports_next_to_nothing() -> None:
    code = "import sys, edgebert.cli.main; print(sorted(name for name in sys.modules if name.startswith('edgebert.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = ["cli", "cli.main", "errors", "standard_output", "telemetry", "version"]
    assert done.stdout == f"{[f'edgebert.{name}' for name in light]}\n"


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
        (["select", "--latency-ms", "5", "--profile", "nowhere.json"], "cannot read nowhere.json: No such file"),
        (["profile", "--lengths", "500"], "expected a length of 2 to 128, found 500"),
        (["profile", "--provider", "NPU"], "no provider 'NPU' here; choose one of cpu"),
        (["profile", "--host", ""], "expected a host"),
        (["profile", "--out", "/nowhere/p.json"], "cannot write /nowhere/p.json: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(edgebert: Edgebert, arguments: list[str], message: str) -> None:
    assert message in edgebert(*arguments).error(1)


def test_a_real_process_has_the_status_and_one_line(edgebert_command: Command) -> None:
    done = edgebert_command("predict", "good\x1b[2J", "--subnet", "w9\x1b")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no sub-network 'w9\\u001b' in bundle")
    assert done.stderr.count("\n") == 1


def test_verbose_tells_more_on_standard_error(edgebert_command: Command) -> None:
    code = "import logging; logging.getLogger('edgebert.x').info('told\\x1b'); logging.getLogger('y').info('not told')"
    script = (
        f"from edgebert.cli import devices, main\ndevices.run = lambda _: exec({code!r})\nmain.main(['devices'{{}}])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script.format(more)], capture_output=True, text=True, check=True)
        for more in ("", ", '-v'")
    ]
    assert [(done.stdout, done.stderr) for done in runs] == [("", ""), ("", "told\\u001b\n")]


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_what_nobody_has_foreseen_is_one_line_that_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verbose: list[str]
) -> None:
    class PanicException(BaseException):
        """As libraries in Rust raise it."""

    def panic(_: object) -> None:
        raise PanicException("called `unwrap` on\na `None` value")

    monkeypatch.setattr("edgebert.cli.devices.run", panic)
    status, errors = main(["devices", *verbose]), capsys.readouterr().err
    assert status == 1
    assert "error: unexpected PanicException: called `unwrap` on a `None` value; this is a fault of edgebert" in errors
    assert errors.count("\n") == 1 or "Traceback" in errors
    assert ("Traceback" in errors) == bool(verbose)


def test_a_reader_of_errors_who_left_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m edgebert inspect {tmp_path} 2>&1 >/dev/null | true; echo ${{PIPESTATUS[0]}}"
    # Buffered, as Python is by default: what is left in the buffer is written once more when it ends.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["/bin/bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


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


def test_a_full_disk_leaves_the_old_profile(tmp_path: Path, builtin: Bundle, alter_manifest: Alter) -> None:
    """Files may not grow beyond 1 kB here: what a full disk does, in a process of its own."""
    bundle, out = alter_manifest(subnetworks=builtin.manifest.subnetworks[-1:]), tmp_path / "out" / "p.json"
    out.parent.mkdir()
    out.write_text("old")

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [sys.executable, "-m", "edgebert", "profile", str(bundle), "--quick", "--lengths", "8"]
    done = subprocess.run(
        [*command, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_disk,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # else Python leaves truncated bytecode behind
    )
    assert done.returncode == 1
    assert "error: cannot write" in done.stderr
    assert {path.name: path.read_text() for path in out.parent.iterdir()} == {"p.json": "old"}


def test_an_output_that_takes_no_more_is_one_line() -> None:
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
