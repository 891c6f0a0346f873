from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import read_checkpoint
from edgebert.exporters.verify import Verifier, check_close, random_inputs
from edgebert.exporters.weights import as_stored
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.subnet import Flavor


@pytest.fixture
def verifier(exported: Bundle) -> Verifier:
    source = read_checkpoint(exported.path.parent / "checkpoint")
    stored = {"fp32": as_stored(source, "fp32"), "int8": as_stored(source, "int8")}
    return Verifier(source, stored, random_inputs(source, 64, token_types=True))  # type: ignore[arg-type]


def check(verifier: Verifier, bundle: Bundle, subnet: ExportedSubnet) -> tuple[float, float]:
    return verifier.check(bundle, subnet, verifier.expected(subnet, {}))


def test_right_graphs_pass_with_their_difference(exported: Bundle, verifier: Verifier) -> None:
    difference, agreement = check(verifier, exported, exported.subnet("w0.50-d0.75-fp32"))
    assert 0 < difference < 1e-4
    assert agreement == 1
    assert check(verifier, exported, exported.subnet("w0.50-d0.75-int8"))[0] > 1e-4


@pytest.mark.parametrize("flavor", ["fused", "portable"])
def test_each_flavor_is_checked(exported: Bundle, verifier: Verifier, flavor: Flavor) -> None:
    right = exported.subnet("w0.50-d0.75-fp32")
    other = exported.subnet("w0.25-d0.75-fp32").graphs[flavor]
    mixed_up = msgspec.structs.replace(right, graphs={**right.graphs, flavor: other})
    with pytest.raises(ExportError, match="does not compute what the checkpoint does"):
        check(verifier, exported, mixed_up)


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-weights"])
@pytest.mark.parametrize(
    "wrong", ["w0.75-d0.75", "w0.50-d1.00", "w0.25-d0.75"], ids=["a head more", "a layer more", "a head less"]
)
def test_the_graph_of_another_slice_is_found(exported: Bundle, verifier: Verifier, precision: str, wrong: str) -> None:
    right = exported.subnet(f"w0.50-d0.75-{precision}")
    mixed_up = msgspec.structs.replace(right, graphs=exported.subnet(f"{wrong}-{precision}").graphs)
    message = (
        rf"the graph of {right.id} does not compute what the checkpoint does on CPUExecutionProvider: "
        r"logits differ by \d\S*, at most \d"
    )
    with pytest.raises(ExportError, match=message):
        check(verifier, exported, mixed_up)


def test_an_undefined_logit_is_a_mismatch(exported: Bundle) -> None:
    logits = np.array([[np.nan, 0.0, 1.0]], dtype=np.float32)
    with pytest.raises(ExportError, match="logits differ by nan"):
        check_close(exported.manifest.subnetworks[0], logits, np.zeros_like(logits))


def test_lengths_reach_from_two_to_the_most(exported: Bundle) -> None:
    source = read_checkpoint(Path(exported.path.parent / "checkpoint"))
    lengths = [
        int(n) for batch in random_inputs(source, 64, token_types=True) for n in batch["attention_mask"].sum(axis=1)
    ]
    assert (min(lengths), max(lengths)) == (2, 64)
