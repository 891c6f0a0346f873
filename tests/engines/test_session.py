from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebert.engines import session
from edgebert.engines.session import OPENVINO, check_provider, open_session, providers
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.measuring.trial import numerics
from edgebert.subnet import CPU
from edgebert.tasks.task import mean_difference

Alter = Callable[..., Path]


def test_every_sub_network_gives_its_golden_outputs(builtin: Bundle) -> None:
    golden = builtin.golden()
    for subnet, output in zip(builtin.manifest.subnetworks, golden.outputs, strict=True):
        opened = open_session(builtin, subnet)
        found = opened.run({name: np.array(golden.inputs[name]) for name in opened.input_names})
        assert output.id == subnet.id
        (expected,) = output.values
        assert list(found) == [expected.name]
        assert found["logits"].dtype == np.float32
        # On average over texts: a rounding that falls the other way may move a single text far.
        assert mean_difference(found, {"logits": expected.array}) <= expected.tolerance


def test_both_dimensions_are_free(builtin: Bundle) -> None:
    opened = open_session(builtin, builtin.manifest.subnetworks[0])
    encode = Tokenizer.of(builtin).encode
    for texts in (["ok"], ["fine film " * 60], ["ok", "dull and long", "good"]):
        assert opened.run(pad([encode(text) for text in texts], opened.input_names))["logits"].shape == (len(texts), 2)


def test_padding_hardly_changes_an_answer(builtin: Bundle) -> None:
    opened = open_session(builtin, builtin.manifest.subnetworks[0])
    encode = Tokenizer.of(builtin).encode
    short, long = encode("a great film"), encode("dull " * 50)
    alone = opened.run(pad([short], opened.input_names))["logits"][0]
    padded = opened.run(pad([short, long], opened.input_names))["logits"][0]
    # int8 activations are rounded per tensor, so what shares a batch moves an answer a little.
    np.testing.assert_allclose(padded, alone, atol=0.3)


def test_a_graph_that_is_no_graph_is_refused(alter_graph: Alter) -> None:
    bundle = Bundle.load(alter_graph(b"DynamicQuantizeMatMul", b"DynamicQuantizeMatMux"))
    with pytest.raises(BundleError, match=r"ONNX Runtime cannot load w1.00-d1.00-int8: .*; export the bundle again"):
        open_session(bundle, bundle.manifest.subnetworks[0])


def test_an_unknown_provider_lists_the_installed() -> None:
    with pytest.raises(EdgeBertError, match=r"no provider 'NPU' here; choose one of CPUExecutionProvider"):
        check_provider("NPU")


def test_a_cloud_service_is_no_provider() -> None:
    assert set(providers()) <= {CPU, OPENVINO}


@pytest.mark.parametrize("provider", providers())
def test_every_provider_gives_the_golden_outputs(builtin: Bundle, provider: str) -> None:
    for subnet in builtin.manifest.subnetworks:
        assert numerics(builtin, subnet, open_session(builtin, subnet, provider=provider)).ok


def test_a_plugin_that_finds_no_device_is_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's takes no processors but Intel's; a plugin that cannot be imported is none either."""
    monkeypatch.setattr(session, "_PLUGINS", {"NPU": "edgebert.errors", "GPU": "no_such_package"})
    assert providers() == [CPU]
