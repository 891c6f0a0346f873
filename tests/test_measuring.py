import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgebert.bundle import Bundle
from edgebert.errors import BundleError
from edgebert.measuring import Failure, Measurement, Shape, Task, measure, numerics_ok
from edgebert.session import CPU, open_session

Alter = Callable[..., Path]

SUBNET = "w0.25-d0.50-int8"


def task(bundle: Bundle, subnet: str = SUBNET) -> Task:
    shapes = (Shape(batch_size=1, length=8), Shape(batch_size=2, length=16))
    return Task(
        bundle=str(bundle.path),
        subnet=subnet,
        flavor="fused",
        provider=CPU,
        threads=1,
        shapes=shapes,
        min_runs=3,
        min_seconds=0.0,
    )


def in_a_process(content: bytes) -> bytes:
    command = [sys.executable, "-m", "edgebert.measuring"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def test_every_shape_is_timed_as_often_as_asked(builtin: Bundle) -> None:
    found = measure(task(builtin))
    assert [len(samples) for samples in found.samples_ms] == [3, 3]
    assert all(sample > 0 for samples in found.samples_ms for sample in samples)
    assert found.load_ms > 0
    assert found.first_ms > 0


def test_a_fresh_process_tells_the_memory_that_a_sub_network_adds(builtin: Bundle) -> None:
    small, large = (
        msgspec.json.decode(in_a_process(msgspec.json.encode(task(builtin, subnet))), type=Measurement | Failure)
        for subnet in (SUBNET, "w1.00-d1.00-int8")
    )
    assert isinstance(small, Measurement)
    assert isinstance(large, Measurement)
    assert 0 < small.steady_memory_mb <= small.peak_memory_mb < large.peak_memory_mb < 200


def test_a_process_reports_an_error_in_one_line(builtin: Bundle) -> None:
    answer = msgspec.json.decode(in_a_process(msgspec.json.encode(task(builtin, "w9"))), type=Measurement | Failure)
    assert isinstance(answer, Failure)
    assert answer.error.startswith("no sub-network 'w9' in bundle")


def test_numerics_are_right_here_and_wrong_for_another_network(builtin: Bundle) -> None:
    full, small = builtin.subnet("w1.00-d1.00-int8"), builtin.subnet(SUBNET)
    assert numerics_ok(builtin, full, open_session(builtin, full))
    assert not numerics_ok(builtin, full, open_session(builtin, small))


def test_an_altered_graph_is_not_measured(alter_graph: Alter) -> None:
    bundle = Bundle.load(alter_graph(b"weights-int8.bin", b"../weights-int8b"))
    with pytest.raises(BundleError, match=r"reads '../weights-int8b', no weight file of its bundle"):
        measure(task(bundle, "w1.00-d1.00-int8"))
