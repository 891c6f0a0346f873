from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebert.engines.session import default_way, engine_of, open_session, way_filter
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.machine.device import default_threads
from edgebert.subnet import WayFilter
from profiles import way

Alter = Callable[..., Path]


def test_both_dimensions_are_free(builtin: Bundle) -> None:
    opened = open_session(builtin, builtin.manifest.subnetworks[0], default_way())
    encode = Tokenizer.of(builtin).encode
    for texts in (["ok"], ["fine film " * 60], ["ok", "dull and long", "good"]):
        assert opened.run(pad([encode(text) for text in texts], opened.input_names))["logits"].shape == (len(texts), 2)


def test_padding_hardly_changes_an_answer(builtin: Bundle) -> None:
    opened = open_session(builtin, builtin.manifest.subnetworks[0], default_way())
    encode = Tokenizer.of(builtin).encode
    short, long = encode("a great film"), encode("dull " * 50)
    alone = opened.run(pad([short], opened.input_names))["logits"][0]
    padded = opened.run(pad([short, long], opened.input_names))["logits"][0]
    # int8 activations are rounded per tensor, so what shares a batch moves an answer a little.
    np.testing.assert_allclose(padded, alone, atol=0.3)


def test_a_graph_that_is_no_graph_is_refused(alter_graph: Alter) -> None:
    bundle = Bundle.load(alter_graph(b"MatMulIntegerToFloat", b"MatMulIntegerToFloax"))
    with pytest.raises(BundleError, match=r"ONNX Runtime cannot load the graph: .*; export the bundle again"):
        open_session(bundle, bundle.manifest.subnetworks[0], default_way())


def test_an_unknown_engine_lists_those_here() -> None:
    with pytest.raises(EdgeBertError, match=r"no provider 'NPU' here; choose one of cpu"):
        engine_of("NPU")


def test_an_engine_has_a_short_name_and_the_one_that_onnx_runtime_gives_it() -> None:
    assert engine_of("cpu") is engine_of("CPU") is engine_of("CPUExecutionProvider")


def test_without_a_wish_the_cpu_runs_networks_on_all_cores() -> None:
    assert default_way() == way(default_threads())
    assert default_way("CPUExecutionProvider", 3) == way(3)


def test_a_wish_for_ways_is_checked() -> None:
    assert way_filter(None, None) == WayFilter()
    assert way_filter(None, None, ["CPUExecutionProvider", "cpu"]) == WayFilter(engines=("cpu",))
    with pytest.raises(EdgeBertError, match="expected a provider or engines, found cpu and cpu; give one of the two"):
        way_filter("cpu", None, ["cpu"])
    assert way_filter("CPUExecutionProvider", 2) == WayFilter(engines=("cpu",), threads=2)
    for threads in (0, 1025, 1.5, True):
        with pytest.raises(EdgeBertError, match=f"expected 1 to 1024 threads, found {threads}"):
            way_filter(None, threads)  # type: ignore[arg-type]
