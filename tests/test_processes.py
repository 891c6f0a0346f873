"""Processes that fork, in the ways that servers and pools of workers do."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, profile_of_costs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# Each child does one thing with what it has from its parent, and ends as Python does, while a thread of the parent is
# at work in a network at every fork.
FORKS = """
import gc, os, sys, threading
import edgebert

model = edgebert.load()
governed = edgebert.load(latency_ms=1e6, profile=sys.argv[1])
answers = edgebert.predict_all(["a great film", "dull"] * 10)
expected = [next(answers), next(answers)]

def for_ever():
    while True:
        governed("a great film")

def ends():
    pass

def collects_garbage():
    global model, governed, answers
    del model, governed, answers
    gc.collect()

def closes():
    for one in (model, governed):
        one.close()
        one.close()

def asks_for_counts():
    assert governed.stats().requests == model.stats().requests == 0

def predicts():
    for one in (model, governed):
        assert [label["label"] for label in one(["a great film", "dull"])] == ["positive", "negative"]
    assert governed.stats().subnetworks and model(["a great film"]) == expected[:1]

def loads_its_own():
    with edgebert.load() as own:
        assert own("a great film") == expected[:1]
    assert len(list(edgebert.predict_all(["dull"] * 20))) == 20

def goes_on():
    try:
        next(answers)
    except edgebert.EdgeBertError as problem:
        assert str(problem) == "these answers were begun before this process was forked; begin anew in it"
    else:
        sys.exit("it went on")

threading.Thread(target=for_ever, daemon=True).start()
for child in (ends, collects_garbage, closes, asks_for_counts, predicts, loads_its_own, goes_on):
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit()
    print(child.__name__, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

WORKERS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import edgebert

model = edgebert.load()

def answer(text):
    return model(text)[0]["label"]

if __name__ == "__main__":
    with ProcessPoolExecutor(2, multiprocessing.get_context(sys.argv[1])) as pool:
        print(list(pool.map(answer, ["a great film", "dull"])))
"""

SERVICE = """
import json, os
import edgebert

model = edgebert.load()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), model("a great film")[0]["label"]]).encode()]
"""


def test_a_forked_process_can_do_everything_and_ends(tmp_path: Path) -> None:
    profile_of_costs(Bundle.load(), {BEST: 4000.0, LEAST: 1000.0}).save(tmp_path / "profile.json")
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(tmp_path / "profile.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    children = ("ends", "collects_garbage", "closes", "asks_for_counts", "predicts", "loads_its_own", "goes_on")
    assert done.stdout.splitlines() == [f"{name} 0" for name in children]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_answer_however_they_are_started(tmp_path: Path, method: str) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "workers.py"), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['positive', 'negative']\n", "")


@pytest.mark.full
@pytest.mark.parametrize("options", [[], ["--preload"]])
def test_gunicorn_s_workers_answer_and_end(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "--workers", "2", "--timeout", "600", *options]
    command += ["--graceful-timeout", "600", "--bind", f"127.0.0.1:{port}", "--chdir", str(tmp_path), "service:app"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        answers = []
        while len(answers) < 8:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=600) as answer:
                    answers.append(json.load(answer))
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.05)
        process.terminate()
        _, log = process.communicate(timeout=600)
    assert {label for _, label in answers} == {"positive"}
    assert process.pid not in {pid for pid, _ in answers}
    assert process.returncode == 0
    assert not [line for line in log.splitlines() if "[INFO]" not in line and "Handling signal: term" not in line]
