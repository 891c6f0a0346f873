import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, profile_of_costs

# ONNX Runtime keeps silent by itself where these say that a program is being tested.
IN_TESTS = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "BUILD_BUILDID", "JENKINS_URL", "ORT_DISABLE_TELEMETRY")

# Verbs in one process, which then lives on as long as telemetry takes to look up its host.
VERBS = """
import json, sys, time
from edgebert.cli.main import main

end_s = time.monotonic() + float(sys.argv[1])
for line in json.loads(sys.argv[2]):
    assert main(line) == 0, line
time.sleep(max(0.0, end_s - time.monotonic()))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "tmp").mkdir(parents=True)
    return tmp_path / "home"


def environment(home: Path, cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in IN_TESTS}
    places = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_CACHE_HOME": str(cache)}
    return kept | places | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def left_in(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if path != home / "tmp"]


def run(code: str, home: Path) -> "subprocess.CompletedProcess[str]":
    command, places = [sys.executable, "-W", "ignore", "-c", code], environment(home, home.parent / "cache")
    return subprocess.run(command, env=places, cwd=home, capture_output=True, text=True, check=False, timeout=600)


def test_who_imports_onnx_runtime_first_is_told_what_follows(home: Path) -> None:
    done = run("import onnxruntime, edgebert; edgebert.load().close()", home)
    assert done.returncode == 0
    assert "onnxruntime was imported before edgebert: it may send telemetry" in done.stderr
    assert done.stderr.rstrip().endswith("import edgebert first, or set ORT_DISABLE_TELEMETRY=1")


def test_who_imports_edgebert_first_has_no_telemetry(home: Path) -> None:
    done = run("import edgebert, onnxruntime; edgebert.load().close()", home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert left_in(home) == []


def check_what_is_touched(lines: list[list[str]], home: Path, places: tuple[str, ...]) -> None:
    """Run command lines under strace: no socket is opened, and nothing is written but at some places and the cache."""
    if shutil.which("strace") is None:
        pytest.skip("only strace sees every file and socket")
    log, cache = home.parent / "log", home.parent / "cache"
    watch = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=socket,openat,mkdir,rename", "-o", str(log)]
    seconds = os.environ.get("EDGEBERT_WATCH_S", "0")
    command = [*watch, sys.executable, "-c", VERBS, seconds, json.dumps(lines)]
    done = subprocess.run(
        command, env=environment(home, cache), cwd=home, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr

    calls = log.read_text(encoding="utf-8", errors="replace").splitlines()
    assert any("AF_" in call or "O_CREAT" in call for call in calls), "strace saw something"
    assert [call for call in calls if "AF_INET" in call or "AF_NETLINK" in call] == []
    flags = ("O_WRONLY", "O_RDWR", "O_CREAT", "mkdir(", "rename(")
    written = [call for call in calls if "= -1" not in call and any(flag in call for flag in flags)]
    allowed = (f'"{cache}', '"/dev/', '"/proc/', *(f'"{place}' for place in places))
    assert [call for call in written if not any(place in call for place in allowed)] == []
    assert left_in(home) == []


def test_no_verb_of_a_device_opens_a_socket_or_writes_what_was_not_asked_for(home: Path, tmp_path: Path) -> None:
    profile, out = str(tmp_path / "profile.json"), str(tmp_path / "out.tsv")
    profile_of_costs(Bundle.load(), {BEST: 4000.0, LEAST: 1000.0}).save(profile)
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\na great film\tpositive\ndull\tnegative\n", encoding="utf-8")
    lines = [
        ["devices"],
        ["inspect", profile],
        ["profile", "--quick", "--subnets", LEAST, "--threads", "1", "--out", str(tmp_path / "measured.json")],
        ["select", "--latency-ms", "5000", "--profile", profile],
        ["predict", "a great film", "--latency-ms", "5000", "--profile", profile],
        ["predict", "--file", str(data), "--out", out],
        ["evaluate", str(data), "--subnets", LEAST],
    ]
    # What is written in one step has a name that begins with a dot, or none, until it is finished.
    check_what_is_touched(lines, home, (f"{tmp_path}/measured.json", out, f"{tmp_path}/.", f'{tmp_path}", O_RDWR'))


@pytest.mark.full
def test_no_verb_of_a_workstation_does_either(home: Path, tmp_path: Path) -> None:
    from random_models import random_bert, save

    checkpoint = str(save(random_bert(num_labels=2), tmp_path / "checkpoint"))
    data = str(tmp_path / "data.tsv")
    Path(data).write_text("text\tlabel\n" + "good film\tpositive\nbad plot\tnegative\n" * 4, encoding="utf-8")
    bundle, elastic = str(tmp_path / "bundle"), str(tmp_path / "elastic")
    training = [
        "--model",
        checkpoint,
        "--train",
        data,
        "--dev",
        data,
        "--out",
        elastic,
        "--labels",
        "negative,positive",
    ]
    lines = [
        ["inspect", checkpoint],
        ["export", checkpoint, "--out", bundle, "--labels", "negative,positive", "--eval", data],
        ["train", "dynabert", *training, "--epochs", "1", "--widths", "0.5,1", "--depths", "1"],
    ]
    check_what_is_touched(lines, home, (f"{tmp_path}/.", f'{tmp_path}", O_RDWR', f"{elastic}.training"))
