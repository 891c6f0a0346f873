import contextlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebert.engines.session import default_way, open_session
from edgebert.errors import BundleError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.limits import Limits
from edgebert.measuring.numerics import Numerics, numerics
from edgebert.measuring.profile_settings import ProfileSettings, settings_for
from edgebert.measuring.trial import (
    Died,
    Failure,
    Measurement,
    Trial,
    latencies,
    measure,
    measure_apart,
)
from edgebert.subnet import Way
from edgebert.tasks.task import Outputs
from profiles import way

Alter = Callable[..., Path]

SUBNET = "w0.25-d0.50-int8-static"


def settings(bundle: Bundle, **changes: Any) -> ProfileSettings:
    """Return the settings of a trial of two shapes that takes no longer than it must."""
    found = settings_for(bundle, lengths=[8, 16])
    return msgspec.structs.replace(found, **{"min_runs": 3, "min_seconds": 0.0, **changes})


def trial(bundle: Bundle, subnet: str = SUBNET, run: Way = way(), **changes: Any) -> Trial:  # noqa: B008
    return Trial(str(bundle.path), bundle.sha256, subnet, run, settings(bundle, **changes))


def test_every_shape_is_timed_as_often_as_asked(builtin: Bundle) -> None:
    found = measure(trial(builtin))
    assert [len(samples) for samples in found.samples_ms] == [3, 3]
    assert all(sample > 0 for samples in found.samples_ms for sample in samples)
    assert found.load_ms > 0
    assert found.first_ms > 0


def test_a_fresh_process_tells_the_memory_that_a_sub_network_adds(builtin: Bundle) -> None:
    small, large = (measure_apart(trial(builtin, subnet)) for subnet in (SUBNET, "w1.00-d1.00-int8-static"))
    assert isinstance(small, Measurement)
    assert isinstance(large, Measurement)
    assert 0 < small.steady_memory_mb <= small.peak_memory_mb < large.peak_memory_mb < 200
    assert 0 < large.private_memory_mb <= large.steady_memory_mb


def test_a_bundle_in_place_of_the_one_that_is_profiled_is_refused(builtin: Bundle, alter_manifest: Alter) -> None:
    asked = msgspec.structs.replace(trial(builtin), bundle=str(alter_manifest(name="other")))
    with pytest.raises(
        BundleError, match=r"^the bundle at .* was replaced since it was loaded; load or profile it again$"
    ):
        measure_apart(asked)


@pytest.mark.parametrize("line", [b"", b"{"])
def test_a_process_whose_input_ends_ends_without_an_answer(line: bytes) -> None:
    command = [sys.executable, "-m", "edgebert.measuring.trial"]
    done = subprocess.run(command, input=line, capture_output=True, check=False)
    assert (done.returncode != 0, done.stdout) == (True, b"")


NO_NUMBERS = """
import numpy as np
from edgebert.engines.cpu import CPU
from edgebert.measuring import trial

class Planted:
    input_names = ("input_ids",)
    def run(self, inputs):
        return {"logits": np.full((len(inputs["input_ids"]), 2), np.nan, np.float32)}

type(CPU).open = lambda *_: Planted()
trial.main()
"""


def test_outputs_that_are_no_numbers_are_of_a_way_and_not_of_the_bundle(builtin: Bundle) -> None:
    asked = msgspec.json.encode(trial(builtin)) + b"\n"
    with subprocess.Popen([sys.executable, "-c", NO_NUMBERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(asked)
        process.stdin.flush()
        failure = msgspec.json.decode(process.stdout.read(), type=Failure)
    assert not failure.of_bundle
    assert failure.error.startswith("expected finite logits, found infinite ones")


def test_numerics_are_right_here_and_wrong_for_another_network(builtin: Bundle) -> None:
    full, small = builtin.subnet("w1.00-d1.00-int8-static"), builtin.subnet(SUBNET)
    assert numerics(builtin, full, open_session(builtin, full, default_way())).ok
    wrong = numerics(builtin, full, open_session(builtin, small, default_way()))
    assert not wrong.ok
    assert re.match(r"outputs are .* off, .* is allowed", str(wrong))


def test_a_wrong_answer_is_wrong_however_near_the_outputs() -> None:
    assert Numerics(drift=0.1, tolerance=0.1, wrong_answers=0).ok
    assert not Numerics(drift=0.2, tolerance=0.1, wrong_answers=0).ok
    assert not Numerics(drift=0.0, tolerance=0.1, wrong_answers=1).ok


class FakeSession:
    """Takes 3 ms for each request, by a clock of its own."""

    input_names = ("input_ids",)

    def __init__(self) -> None:
        self.now_s = 0.0

    def run(self, inputs: Arrays) -> Outputs:
        self.now_s += 0.003
        return {}

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def time_requests(self, settings: ProfileSettings) -> tuple[tuple[float, ...], ...]:
        return latencies(self, [{}, {}], settings, clock=lambda: self.now_s, sleep=self.sleep)


def test_requests_come_back_to_back_for_as_long_as_asked(builtin: Bundle) -> None:
    session = FakeSession()
    one, other = session.time_requests(settings(builtin, min_seconds=0.6))
    assert len(one) == len(other) == 100
    assert one + other == pytest.approx([3.0] * 200)


def test_a_pace_is_kept(builtin: Bundle) -> None:
    session = FakeSession()
    samples_ms = session.time_requests(settings(builtin, requests_per_s=50.0))
    warm_up_s, requests = 4 * 0.003, sum(map(len, samples_ms))
    assert session.now_s == pytest.approx(warm_up_s + requests / 50)
    assert samples_ms == (pytest.approx((3.0,) * 3),) * 2


def test_a_process_that_ends_without_an_answer_is_told_from_one_that_refuses(
    builtin: Bundle, bundle_path: Path
) -> None:
    with pytest.raises(BundleError, match="no sub-network 'w9'"):
        measure_apart(trial(builtin, "w9"))
    refused = measure_apart(trial(builtin, run=way(engine="NPU")))
    assert isinstance(refused, Died)  # so that other ways are measured
    assert refused.reason.startswith("no provider 'NPU' here; choose one of cpu")
    died = measure_apart(trial(builtin, min_runs="many"))
    assert isinstance(died, Died)
    assert re.match(r"its process ended with status 1 \(.*Expected `int`, got `str`", died.reason)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are imposed on Linux")
def test_a_process_without_the_memory_ends_and_one_with_it_does_not(builtin: Bundle) -> None:
    assert isinstance(measure_apart(trial(builtin, emulated=Limits(cpus=1.0, memory_mb=400.0))), Measurement)
    with contextlib.suppress(ProfileError, BundleError):
        found = measure_apart(trial(builtin, "w1.00-d1.00-int8-static", emulated=Limits(memory_mb=20.0)))
        assert isinstance(found, Died)


def test_an_altered_graph_is_not_measured(alter_graph: Alter) -> None:
    bundle = Bundle.load(alter_graph(b"weights-int8.bin", b"../weights-int8b"))
    with pytest.raises(BundleError, match=r"reads '../weights-int8b', no weight file of its bundle"):
        measure(trial(bundle, "w1.00-d1.00-int8-static"))
