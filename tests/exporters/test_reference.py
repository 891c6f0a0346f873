import numpy as np
import oracle
import torch
from transformers import BertForSequenceClassification

from edgebert.exporters import reference
from edgebert.exporters.activations import gelu
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.verify import random_inputs
from edgebert.inputs.bundle import Bundle


def test_the_reference_is_the_original_model(exported: Bundle, model: BertForSequenceClassification) -> None:
    source = read_checkpoint(exported.path.parent / "checkpoint")
    for subnet in exported.manifest.subnetworks:
        cut = oracle.cut(model, subnet)
        for inputs in random_inputs(source, 40, token_types=True):
            found = reference.outputs(subnet, source, source.tensors, inputs)["logits"]
            np.testing.assert_allclose(found, oracle.logits(cut, inputs), atol=2e-5)


def test_gelu_is_torchs() -> None:
    x = np.linspace(-8, 8, 1001, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(gelu(x), expected, atol=2e-6)
