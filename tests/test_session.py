from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebert.bundle import Bundle
from edgebert.errors import BundleError, EdgeBertError
from edgebert.session import CPU, check_provider, open_session, providers
from edgebert.tokenization import Tokenizer, pad

Alter = Callable[..., Path]


def test_every_sub_network_gives_its_golden_outputs(builtin: Bundle) -> None:
    golden = builtin.golden()
    for subnet, output in zip(builtin.manifest.subnetworks, golden.outputs, strict=True):
        session = open_session(builtin, subnet)
        logits = session.run({name: np.array(golden.inputs[name]) for name in session.input_names})
        assert output.id == subnet.id
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, output.logits, atol=output.tolerance)


def test_both_dimensions_are_free(builtin: Bundle) -> None:
    session = open_session(builtin, builtin.manifest.subnetworks[0])
    encode = Tokenizer.of(builtin).encode
    for texts in (["ok"], ["fine film " * 60], ["ok", "dull and long", "good"]):
        assert session.run(pad([encode(text) for text in texts], session.input_names)).shape == (len(texts), 2)


def test_padding_hardly_changes_an_answer(builtin: Bundle) -> None:
    session = open_session(builtin, builtin.manifest.subnetworks[0])
    encode = Tokenizer.of(builtin).encode
    short, long = encode("a great film"), encode("dull " * 50)
    alone = session.run(pad([short], session.input_names))[0]
    padded = session.run(pad([short, long], session.input_names))[0]
    # int8 activations are rounded per tensor, so what shares a batch moves an answer a little.
    np.testing.assert_allclose(padded, alone, atol=0.3)


def test_a_graph_that_is_no_graph_is_refused(alter_graph: Alter) -> None:
    bundle = Bundle.load(alter_graph(b"SkipLayerNormalization", b"SkipLayerNormalizatiox"))
    with pytest.raises(BundleError, match=r"ONNX Runtime cannot load w1.00-d1.00-int8: .*; export the bundle again"):
        open_session(bundle, bundle.manifest.subnetworks[0])


def test_an_unknown_provider_lists_the_installed() -> None:
    with pytest.raises(EdgeBertError, match=r"no provider 'NPU' here; choose one of CPUExecutionProvider"):
        check_provider("NPU")


def test_a_cloud_service_is_no_provider() -> None:
    assert providers() == [CPU]
