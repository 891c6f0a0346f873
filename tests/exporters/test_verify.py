from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebert.bundle import Bundle
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import read_checkpoint
from edgebert.exporters.verify import Verifier, check_close, random_inputs
from edgebert.exporters.weights import as_stored


@pytest.fixture
def verifier(exported: Bundle) -> Verifier:
    source = read_checkpoint(exported.path.parent / "checkpoint")
    stored = {"fp32": as_stored(source, "fp32"), "int8": as_stored(source, "int8")}
    return Verifier(source, stored, random_inputs(source, 64))  # type: ignore[arg-type]


def test_right_graphs_pass_with_their_difference(exported: Bundle, verifier: Verifier) -> None:
    assert 0 < verifier.check(exported, exported.subnet("w0.50-d0.75-fp32")) < 1e-4
    assert verifier.check(exported, exported.subnet("w0.50-d0.75-int8")) > 1e-4


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    "wrong", ["w0.75-d0.75", "w0.50-d1.00", "w0.25-d0.75"], ids=["a head more", "a layer more", "a head less"]
)
def test_the_graph_of_another_slice_is_found(exported: Bundle, verifier: Verifier, precision: str, wrong: str) -> None:
    right = exported.subnet(f"w0.50-d0.75-{precision}")
    mixed_up = msgspec.structs.replace(right, graphs=exported.subnet(f"{wrong}-{precision}").graphs)
    message = rf"the graph of {right.id} does not compute what the checkpoint does: logits differ by \d\S*, at most \d"
    with pytest.raises(ExportError, match=message):
        verifier.check(exported, mixed_up)


def test_an_undefined_logit_is_a_mismatch(exported: Bundle) -> None:
    logits = np.array([[np.nan, 0.0, 1.0]], dtype=np.float32)
    with pytest.raises(ExportError, match="logits differ by nan"):
        check_close(exported.manifest.subnetworks[0], logits, np.zeros_like(logits))


def test_lengths_reach_from_two_to_the_most(exported: Bundle) -> None:
    source = read_checkpoint(Path(exported.path.parent / "checkpoint"))
    lengths = [int(n) for batch in random_inputs(source, 64) for n in batch["attention_mask"].sum(axis=1)]
    assert (min(lengths), max(lengths)) == (2, 64)
