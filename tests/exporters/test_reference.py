import numpy as np
import oracle
import pytest
import torch
from transformers import BertForSequenceClassification

from edgebert.bundle import Bundle
from edgebert.exporters import reference
from edgebert.exporters.checkpoint import read_checkpoint
from edgebert.exporters.verify import random_inputs


def test_the_reference_is_the_original_model(exported: Bundle, model: BertForSequenceClassification) -> None:
    source = read_checkpoint(exported.path.parent / "checkpoint")
    for subnet in exported.manifest.subnetworks:
        cut = oracle.cut(model, subnet)
        for inputs in random_inputs(source, 40):
            found = reference.logits(subnet, source.sizes, source.layer_norm_eps, source.tensors, inputs)
            np.testing.assert_allclose(found, oracle.logits(cut, inputs), atol=2e-5)


def test_gelu_is_torchs() -> None:
    x = np.linspace(-8, 8, 1001, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(reference.gelu(x), expected, atol=2e-6)


@pytest.mark.parametrize("values", [[-1.0, 0.3, 2.0], [0.5, 3.0], [-4.0, -0.1], [0.0, 0.0]])
def test_rounding_keeps_zero_and_moves_by_half_a_step(values: list[float]) -> None:
    x = np.array([*values, 0.0], dtype=np.float32)
    step = (max(*values, 0) - min(*values, 0)) / 255
    rounded = reference.rounded(x)
    assert rounded[-1] == 0
    assert np.abs(rounded - x).max() <= step  # half a step, and half a step of the zero point
