"""Models that embed texts: bundles give what sentence-transformers gives, from folder to vector."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_models import HIDDEN, dense, sentence_model
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling

from edgebert.engines.session import open_session
from edgebert.exporters.build import export
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.plan import PRECISIONS
from edgebert.exporters.sentence_layers import POOLINGS
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer, pad
from profiles import way

# Of unequal lengths, so that padding counts wherever it may, and one that is cut.
TEXTS = ["the film", "Good bad plot", "a", "warm " * 60, "the plot, the film & the bad", "x y z"]
CASES = {
    **{mode: (Pooling(HIDDEN, mode),) for mode in POOLINGS},
    "several": (Pooling(HIDDEN, ("mean", "cls", "max")),),
    "normalized": (Pooling(HIDDEN, "mean"), Normalize()),
    "cls, normalized": (Pooling(HIDDEN, "cls"), Normalize()),
    "dense": (Pooling(HIDDEN, ("cls", "lasttoken")), dense(20, 2 * HIDDEN), Normalize()),
    "two dense": (
        Pooling(HIDDEN),
        dense(32, bias=False, activation_function=torch.nn.GELU()),
        dense(24, 32, activation_function=None),
    ),
}


def vectors_of(bundle: Bundle, subnet_id: str, flavor: str, texts: list[str]) -> np.ndarray:
    """Return what a graph gives for texts in one padded batch."""
    subnet = bundle.subnet(subnet_id)
    session = open_session(bundle, subnet, way(flavor=flavor))
    rows = Tokenizer.of(bundle).encode_all(texts)
    return session.run(pad(rows, session.input_names))["embedding"]


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_sentence_transformers(case: str, tmp_path: Path) -> None:
    model = sentence_model(tmp_path / "model", *CASES[case])
    bundle = export(tmp_path / "model", tmp_path / "bundle", precisions=["fp32"])
    right = model.encode(TEXTS)
    for flavor in ("fused", "portable"):
        found = vectors_of(bundle, "full-fp32", flavor, TEXTS)
        np.testing.assert_allclose(found, right, atol=2e-5 * np.abs(right).max())


@pytest.mark.parametrize("family", [family.model_types[0] for family in FAMILIES])
@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_networks_of_all_families_embed_in_all_precisions(family: str, mode: str, tmp_path: Path) -> None:
    model = sentence_model(tmp_path / "model", Pooling(HIDDEN, mode), Normalize(), family=family)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"text": "{text.strip()}"}}\n' for text in TEXTS))
    grid = {"widths": (0.5, 1.0), "depths": (0.5, 1.0)}
    bundle = export(tmp_path / "model", tmp_path / "bundle", **grid, precisions=PRECISIONS, calibration_data=texts)
    # That every graph is what the reference makes of its slice, the export itself has checked.
    np.testing.assert_allclose(vectors_of(bundle, "w1.00-d1.00-fp32", "fused", TEXTS), model.encode(TEXTS), atol=1e-5)
    assert "token_type_ids" not in bundle.manifest.inputs
