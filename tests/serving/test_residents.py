import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgebert
from edgebert.engines.engine import Session
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.tokenization import Arrays
from edgebert.serving.residents import Key, Residents
from edgebert.subnet import Way
from edgebert.tasks.task import Outputs
from profiles import BEST, LEAST, MIDDLE, way

BEST_KEY, MIDDLE_KEY, LEAST_KEY = (BEST, way()), (MIDDLE, way()), (LEAST, way())


class Opened:
    """A network that is loaded."""

    input_names = ("input_ids",)

    def run(self, inputs: Arrays) -> Outputs:
        """Return nothing of interest."""
        return {"logits": np.zeros((1, 2), np.float32)}


class Opener:
    """Opens networks, and keeps which."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.fails = False

    def __call__(self, subnet_id: str, _: Way) -> Session:
        self.opened.append(subnet_id)
        if self.fails:
            raise BundleError("altered")
        return Opened()


def test_every_way_to_a_network_asks_for_its_memory() -> None:
    opener = Opener()
    residents = Residents(60.0, opener)
    residents.load(BEST_KEY, 40.0)
    assert not residents.fits(LEAST_KEY, 21.0)
    for ask in (residents.load, residents.get):
        with pytest.raises(EdgeBertError, match=f"expected at most 20.0 MB, found 21.0 MB for {LEAST} .*; raise"):
            ask(LEAST_KEY, 21.0)
    residents.want(LEAST_KEY, 21.0)
    residents.wait()
    assert opener.opened == [BEST]
    residents.load(LEAST_KEY, 20.0)
    assert residents.loaded() == [BEST_KEY, LEAST_KEY]
    residents.close()


def test_what_was_loaded_whatever_it_takes_is_counted_when_that_is_known() -> None:
    residents = Residents(60.0, Opener())
    residents.load(BEST_KEY, None)
    assert residents.fits(LEAST_KEY, 60.0)
    residents.count(BEST_KEY, 70.0)
    assert not residents.fits(LEAST_KEY, 1.0)
    assert residents.fits(BEST_KEY, 70.0)


def test_a_load_that_failed_keeps_what_it_may_have_taken() -> None:
    opener = Opener()
    residents, opener.fails = Residents(60.0, opener), True
    with pytest.raises(BundleError, match="altered"):
        residents.load(BEST_KEY, 40.0)
    assert not residents.fits(LEAST_KEY, 30.0)


@given(st.floats(1.0, 1000.0), st.floats(1.0, 1000.0))
def test_what_fits_exactly_is_loaded(first_mb: float, second_mb: float) -> None:
    residents = Residents(first_mb + second_mb, Opener())
    residents.load(BEST_KEY, first_mb)
    residents.load(LEAST_KEY, second_mb)


def test_a_forked_process_loads_each_network_when_it_asks_for_it_and_counts_it_once() -> None:
    opener = Opener()
    residents = Residents(60.0, opener)
    for key, memory_mb in ((BEST_KEY, 40.0), (LEAST_KEY, 20.0)):
        residents.load(key, memory_mb)
    residents._lock.acquire()  # as another thread of the parent would have it at that moment
    residents.begin_anew()
    assert residents.loaded() == [BEST_KEY, LEAST_KEY]

    in_child = threading.Thread(target=residents.get, args=(BEST_KEY, 40.0), daemon=True)
    in_child.start()
    in_child.join(60)
    assert opener.opened == [BEST, LEAST, BEST]
    assert residents.get(LEAST_KEY, 20.0) is residents.get(LEAST_KEY, 20.0)
    assert not residents.fits(MIDDLE_KEY, 1.0)
    residents.close()


def test_closed_networks_are_an_error_and_no_more_are_loaded() -> None:
    opener = Opener()
    residents = Residents(None, opener)
    residents.load(BEST_KEY, 1.0)
    residents.want(LEAST_KEY, 1.0)  # so that there is a thread to be ended
    residents.close()
    residents.close()
    opened = list(opener.opened)
    residents.want(MIDDLE_KEY, 1.0)
    residents.wait()
    asked: list[tuple[Key, float | None]] = [(BEST_KEY, 1.0), (MIDDLE_KEY, None)]
    for key, memory_mb in asked:
        with pytest.raises(EdgeBertError, match="this Predictor is closed; load another"):
            residents.get(key, memory_mb)
    assert (opener.opened, residents.loaded()) == (opened, [])


# Two networks are profiled; then requests of all lengths are answered in a process that tells how much it has grown.
GROWTH = """
import random, sys
import edgebert
from edgebert.machine.memory import process_memory
from edgebert.measuring import trial  # imports all that a measuring process does

before = process_memory()
draw = random.Random(0)
with edgebert.load(profile=sys.argv[1], memory_mb=float(sys.argv[2]), cascade=True) as model:
    for _ in range(100):
        model("a great film " * draw.randint(1, 60))
print(process_memory().peak_mb - before.resident_mb)
"""


def test_a_process_grows_by_no_more_than_its_memory(tmp_path: Path) -> None:
    profile = edgebert.profile(subnets=[BEST, LEAST], threads=1, quick=True)
    profile.save(tmp_path / "profile.json")
    peaks_mb = sorted(entry.peak_memory_mb for entry in profile.subnetworks)
    for memory_mb in (peaks_mb[0] * 1.1, sum(peaks_mb)):
        command = [sys.executable, "-c", GROWTH, str(tmp_path / "profile.json"), str(memory_mb)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert peaks_mb[0] / 2 < float(done.stdout) <= memory_mb
