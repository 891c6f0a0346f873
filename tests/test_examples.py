import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, profile_of_costs

EXAMPLES = Path(__file__).parents[1] / "examples"
REVIEWS = b"a great film\n\ndull\nwarm and funny \xff\na mess\n"
Ask = Callable[..., tuple[int, dict]]  # type: ignore[type-arg]


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made-up profile in which 128 tokens cost 4000 and 1000 ms: no machine is so slow that they take longer."""
    path = tmp_path_factory.mktemp("profile") / "profile.json"
    profile_of_costs(Bundle.load(), {BEST: 4000.0, LEAST: 1000.0}).save(path)
    return str(path)


@pytest.fixture(scope="module")
def ask(profile_file: str) -> Iterator[Ask]:
    """Start the service and return what asks it: the status and the JSON of the answer to a path and a body."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(EXAMPLES / "http_service.py"), "--port", str(port), "--profile", profile_file]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def ask(path: str, body: object = None) -> tuple[int, dict]:  # type: ignore[type-arg]
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=600) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as problem:
            with problem:
                content = problem.read()
            return problem.code, json.loads(content) if content.startswith(b"{") else {}

    while True:
        try:
            ask("/stats")
            break
        except urllib.error.URLError:
            assert process.poll() is None
            time.sleep(0.05)
    yield ask
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert errors == ""


@pytest.mark.full
def test_the_service_answers_texts(ask: Ask) -> None:
    status, answer = ask("/predict", {"texts": ["a great film", "dull"]})
    assert status == 200
    assert [one["label"] for one in answer["predictions"]] == ["positive", "negative"]
    assert ask("/predict", {"texts": []}) == (200, {"predictions": []})
    status, answer = ask("/predict", {"texts": ["dull"], "options": {"top_k": 2}})
    assert [one["label"] for one in answer["predictions"][0]] == ["negative", "positive"]


@pytest.mark.full
def test_the_service_keeps_a_requests_budget(ask: Ask) -> None:
    long = "fine " * 126
    assert ask("/predict", {"texts": [long], "latency_ms": 2000})[0] == 200
    _, stats = ask("/stats")
    assert stats["subnetworks"][LEAST]["texts"] >= 1
    status, answer = ask("/predict", {"texts": [long], "latency_ms": 500})
    assert status == 422
    assert f"the nearest is {LEAST} with 1000.00 ms" in answer["error"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Input data was truncated"),
        (b"\xff", "malformed"),
        ({}, "Object missing required field `texts`"),
        ({"texts": "a great film"}, "Expected `array`, got `str` - at `$.texts`"),
        ({"texts": [5]}, "Expected `str | array`, got `int` - at `$.texts[0]`"),
        ({"texts": ["fine"] * 1001}, "Expected `array` of length <= 1000 - at `$.texts`"),
        ({"texts": ["fine"], "latency": 5}, "unknown field `latency`"),
        ({"texts": ["fine"], "options": {"max_answer_len": 5}}, "text-classification has no option max_answer_len"),
        ({"texts": ["fine"], "options": {"latency_ms": 5}}, "expected options of the task, found latency_ms; give it"),
        ({"texts": ["fine"], "latency_ms": 0}, "Expected `float` > 0.0 - at `$.latency_ms`"),
        ({"texts": ["fine", " "]}, "expected a text, found an empty one; leave it out"),
        ({"texts": [["a", "b"]]}, "expected single texts, found a pair"),
        ({"texts": ["x" * 10_000_000]}, "expected at most 10000000 bytes; ask several times"),
    ],
)
def test_the_service_refuses_what_is_no_question(ask: Ask, body: object, message: str) -> None:
    status, answer = ask("/predict", body)
    assert status == 400
    assert message in answer["error"]


@pytest.mark.full
def test_the_service_answers_others_while_it_works(ask: Ask) -> None:
    answers = []
    work = threading.Thread(target=lambda: answers.append(ask("/predict", {"texts": ["fine " * 126] * 300})))
    work.start()
    time.sleep(0.2)
    assert ask("/predict", {"texts": ["dull"]})[1]["predictions"][0]["label"] == "negative"
    assert ask("/nowhere")[0] == 404
    assert work.is_alive()
    work.join()
    assert answers[0][0] == 200


def run_filter(*arguments: str, input: bytes = REVIEWS) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, str(EXAMPLES / "filter.py"), *arguments]
    return subprocess.run(command, input=input, capture_output=True, check=False)


def test_the_filter_passes_lines_on_unchanged(profile_file: str) -> None:
    done = run_filter("--keep", "positive")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a great film\nwarm and funny \xff\n", b"")
    assert run_filter("--keep", "negative", "--min-score", "0.5").stdout == b"dull\na mess\n"
    assert run_filter("--keep", "negative", "--min-score", "1.1").stdout == b""
    arguments = ("--latency-ms", "5000", "--profile", profile_file)
    assert run_filter("--keep", "positive", *arguments).stdout == b"a great film\nwarm and funny \xff\n"


def test_the_filter_says_what_is_wrong(profile_file: str) -> None:
    done = run_filter("--keep", "good")
    assert done.returncode == 2
    assert done.stderr.endswith(b"error: expected a label of negative, positive, found 'good'\n")
    done = run_filter("--keep", "positive", "--latency-ms", "1", "--profile", profile_file)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: no sub-network meets 1 ms")


def test_the_filter_answers_each_line_at_once_and_ends_with_its_reader() -> None:
    command = [sys.executable, str(EXAMPLES / "filter.py"), "--keep", "positive"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"a great film\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"a great film\n"
        process.stdout.close()
        process.stdin.write(b"a great film\n")
        process.stdin.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)
