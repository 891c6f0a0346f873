import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edgebert.python_exit import Pool, _NativeCalls

# Each thread works on when the main one has ended, which is when pools take no more.
AFTER_MAIN = """
import threading
import edgebert
from edgebert import load  # Python itself imports no pools any more when the main thread has ended

def work():
    threading.main_thread().join()
    with load() as model:
        print(model("dull")[0]["label"])
    print([answer["label"] for answer in edgebert.predict_all(["a great film", "dull"])])

threading.Thread(target=work).start()
"""

# Threads that Python does not wait for, in the midst of all that takes time.
DAEMONS = """
import threading
import edgebert

model, started = edgebert.load(), threading.Semaphore(0)

def for_ever(call):
    while True:
        started.release()
        call()

calls = [
    lambda: model("a great film " * 30),
    lambda: next(edgebert.predict_all(["a great film"] * 10)),
    lambda: edgebert.load().close(),
]
for call in calls:
    threading.Thread(target=for_ever, args=(call,), daemon=True).start()
for _ in range(12):
    started.acquire()
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_a_thread_works_on_when_the_main_thread_has_ended() -> None:
    done = run(AFTER_MAIN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["negative", "['positive', 'negative']"]


@pytest.mark.skipif(sys.platform == "win32", reason="threads end in another way there")
def test_daemon_threads_end_with_python_without_a_word() -> None:
    done = run(DAEMONS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextlib.contextmanager
def in_a_thread(call: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=call)
    thread.start()
    yield
    thread.join()


def test_python_waits_for_calls_that_run_and_others_begin_no_more() -> None:
    calls, running, done = _NativeCalls(), threading.Event(), []

    def call() -> None:
        with calls:
            running.set()
            time.sleep(0.05)
            done.append("first")
        with contextlib.suppress(SystemExit), calls:
            done.append("second")

    with in_a_thread(call):
        running.wait()
        calls.end()
        assert done == ["first"]
    with calls:  # who ends Python may still call
        done.append("last")
    assert done == ["first", "last"]


def test_python_waits_for_a_call_that_has_made_another() -> None:
    calls, running, done = _NativeCalls(), threading.Event(), []

    @calls
    def call() -> None:
        with calls:
            running.set()
        time.sleep(0.05)
        done.append("outer")

    with in_a_thread(call):
        running.wait()
        calls.end()
        assert done == ["outer"]


def test_a_pool_that_takes_no_more_has_calls_made_by_who_asks() -> None:
    pool = Pool(1)
    assert pool.submit(threading.get_ident).result() != threading.get_ident()
    pool.shutdown()
    assert pool.submit(threading.get_ident).result() == threading.get_ident()
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        pool.submit(int, "x").result()
