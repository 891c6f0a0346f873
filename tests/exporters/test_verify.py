from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

from edgebert.errors import ExportError
from edgebert.exporters.bundle_writer import GraphWriter
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.verify import Verifier, check_close, random_inputs
from edgebert.exporters.weights import WeightWriter, as_stored, prepared
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportDifference, ExportedSubnet
from edgebert.subnet import Flavor, Storage

Check = Callable[[ExportedSubnet], ExportDifference]


@pytest.fixture
def verifier(exported: Bundle) -> Verifier:
    source = read_checkpoint(exported.path.parent / "checkpoint")
    stored = {storage: as_stored(source, storage) for storage in get_args(Storage)}
    return Verifier(source, stored, random_inputs(source, 64, token_types=True))


@pytest.fixture(scope="module")
def graphs(exported: Bundle, tmp_path_factory: pytest.TempPathFactory) -> GraphWriter:
    """What writes graphs of the exported checkpoint beside weights of their own."""
    source, folder = read_checkpoint(exported.path.parent / "checkpoint"), tmp_path_factory.mktemp("graphs")
    weights = {"int8": WeightWriter(folder, "int8").add(prepared(source, 64, token_types=True))}
    return GraphWriter(source, exported.manifest.inputs, weights, Bundle(folder, exported.manifest))  # type: ignore[arg-type]


@pytest.fixture
def check(exported: Bundle, verifier: Verifier, graphs: GraphWriter) -> Check:
    def check(subnet: ExportedSubnet) -> ExportDifference:
        return verifier.check(exported, subnet, verifier.expected(graphs, subnet, {}), verifier.exact(subnet))

    return check


def test_right_graphs_pass_with_their_difference(exported: Bundle, check: Check) -> None:
    found = check(exported.subnet("w0.50-d0.75-fp32"))
    assert 0 < found.max_abs_difference < 1e-4
    assert (found.agreement, found.quality_drop) == (1, None)
    assert check(exported.subnet("w0.50-d0.75-int8")).max_abs_difference > 1e-4


@pytest.mark.parametrize("flavor", ["fused", "portable"])
def test_each_flavor_is_checked(exported: Bundle, check: Check, flavor: Flavor) -> None:
    right = exported.subnet("w0.50-d0.75-fp32")
    other = exported.subnet("w0.25-d0.75-fp32").graphs[flavor]
    mixed_up = msgspec.structs.replace(right, graphs={**right.graphs, flavor: other})
    with pytest.raises(ExportError, match="does not compute what the checkpoint does"):
        check(mixed_up)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-weights"])
@pytest.mark.parametrize(
    "wrong", ["w0.75-d0.75", "w0.50-d1.00", "w0.25-d0.75"], ids=["a head more", "a layer more", "a head less"]
)
def test_the_graph_of_another_slice_is_found(exported: Bundle, check: Check, precision: str, wrong: str) -> None:
    right = exported.subnet(f"w0.50-d0.75-{precision}")
    mixed_up = msgspec.structs.replace(right, graphs=exported.subnet(f"{wrong}-{precision}").graphs)
    message = (
        rf"the graph of {right.id} does not compute what the checkpoint does on cpu: "
        r"logits differ by \d\S*, at most \d"
    )
    with pytest.raises(ExportError, match=message):
        check(mixed_up)


def test_an_undefined_logit_is_a_mismatch(exported: Bundle) -> None:
    logits = np.array([[np.nan, 0.0, 1.0]], dtype=np.float32)
    right = [{"logits": np.zeros_like(logits)}]
    with pytest.raises(ExportError, match="logits differ by inf"):
        check_close(exported.manifest.subnetworks[0], [{"logits": logits}], right, right)


def test_every_text_counts_as_much_whatever_batch_it_is_in(exported: Bundle) -> None:
    """One text of eleven is off by 0.5: as an average that is 0.045, below the 0.06 that int8 allows."""
    subnet = exported.subnet("w0.50-d0.75-int8")
    right = [{"logits": np.ones((10, 3), np.float32)}, {"logits": np.ones((1, 3), np.float32)}]
    check_close(subnet, [right[0], {"logits": right[1]["logits"] + 0.5}], right, right)
    with pytest.raises(ExportError, match=r"logits differ by 0.45, at most 0.06 is allowed"):
        check_close(subnet, [{"logits": right[0]["logits"] + 0.5}, right[1]], right, right)


@pytest.mark.parametrize(("precision", "passes"), [("int8", True), ("int8-weights", False), ("fp32", False)])
def test_where_rounding_moves_outputs_far_graphs_may_lie_as_far_apart(
    exported: Bundle, precision: str, passes: bool
) -> None:
    subnet = exported.subnet(f"w0.50-d0.75-{precision}")
    right = [{"logits": np.ones((4, 3), np.float32)}]
    exact, found = ([{"logits": right[0]["logits"] + np.float32(moved)}] for moved in (0.4, -0.3))
    if passes:
        check_close(subnet, found, right, exact)
        found[0]["logits"] -= 0.2
    with pytest.raises(ExportError, match=r"logits differ by 0.[35], at most 0.[40]"):
        check_close(subnet, found, right, exact)


def test_in_fp16_graphs_may_lie_four_times_as_far_as_rounded_weights_do(exported: Bundle) -> None:
    subnet = exported.subnet("w0.50-d0.75-fp16")
    right = [{"logits": np.ones((4, 3), np.float32)}]
    exact, found = ([{"logits": right[0]["logits"] + np.float32(moved)}] for moved in (0.001, -0.0039))
    check_close(subnet, found, right, exact)
    found[0]["logits"] -= 0.0002
    with pytest.raises(ExportError, match=r"logits differ by 0.0041, at most 0.004 is allowed"):
        check_close(subnet, found, right, exact)


def test_numbers_beyond_float16_are_found_before_any_device_computes_in_it(
    verifier: Verifier, graphs: GraphWriter, exported: Bundle
) -> None:
    """The weights fit, the sum over a layer's neurons does not; a CPU computes in float32 and sees nothing wrong."""
    subnet, stored = exported.subnet("w0.50-d0.75-fp16"), dict(verifier.stored["fp16"])
    stored["0.ffn_out.weight"] = stored["0.ffn_out.weight"] * 0 + 60_000
    large = Verifier(verifier.source, {"fp16": stored}, verifier.batches)
    message = r"expected all that w0.50-d0.75-fp16 computes to be of at most 65504 in fp16, found \d\S+; export fp32"
    with pytest.raises(ExportError, match=message):
        large.expected(graphs, subnet, {})


def test_outputs_of_any_rank_are_compared(exported: Bundle) -> None:
    """As for labels of tokens: batches of different lengths have outputs of different shapes."""
    subnet = exported.subnet("w0.50-d0.75-fp32")
    right = [{"logits": np.ones((2, length, 3), np.float32)} for length in (5, 8)]
    check_close(subnet, right, right, right)
    wrong = [right[0], {"logits": right[1]["logits"] + np.float32(0.5)}]
    with pytest.raises(ExportError, match=r"logits differ by 0.25, at most 0.0001 is allowed"):
        check_close(subnet, wrong, right, right)


def test_lengths_reach_from_two_to_the_most(exported: Bundle) -> None:
    source = read_checkpoint(Path(exported.path.parent / "checkpoint"))
    lengths = [
        int(n) for batch in random_inputs(source, 64, token_types=True) for n in batch["attention_mask"].sum(axis=1)
    ]
    assert (min(lengths), max(lengths)) == (2, 64)
