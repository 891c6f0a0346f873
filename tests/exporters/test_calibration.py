"""Networks with columns that are a hundred times as large as others, as trained ones have, are exact in int8 too."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from random_models import random_classifier, save
from transformers import PreTrainedModel

from edgebert.exporters import calibration
from edgebert.exporters.build import GOLDEN_TEXTS, export
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.plan import full_subnet
from edgebert.exporters.verify import random_inputs
from edgebert.exporters.weights import as_stored
from edgebert.inputs.bundle import Bundle

# One of 128 columns may be an outlier, and two neurons of half of them.
SIZES = {"hidden_size": 128, "intermediate_size": 512}
COLUMN, NEURONS = 5, [7, 100]


def with_outliers(family: str) -> PreTrainedModel:
    """Return a random model whose second layer has large columns in the inputs of all products but one.

    What reads them is small, and the norms behind take them away again: they do not decide what comes out.
    """
    model = random_classifier(family, **SIZES)
    layers = model.base_model.encoder.layer
    first, second = layers[0], layers[1]
    attention = second.attention.attn if family == "mpnet" else second.attention.self
    attention_norm = second.attention.LayerNorm if family == "mpnet" else second.attention.output.LayerNorm
    reading = [one for name, one in attention.named_children() if name in ("query", "key", "value", "q", "k", "v")]

    with torch.no_grad():
        first.output.LayerNorm.bias[COLUMN] = 150
        attention_norm.weight[COLUMN], attention_norm.bias[COLUMN] = 0, 150
        second.output.LayerNorm.weight[COLUMN] = 0
        second.intermediate.dense.bias[NEURONS] = 300
        outliers = [(linear.weight, [COLUMN]) for linear in (*reading, second.intermediate.dense)]
        for weight, columns in (*outliers, (second.output.dense.weight, NEURONS)):
            # Small, and whole numbers of steps, so that rounding the weights costs nothing.
            steps = torch.randint(-1, 2, (len(weight), len(columns)))
            weight[:, columns] = steps * weight.abs().amax(dim=1, keepdim=True) / 127
    return model


def exported(model: PreTrainedModel, folder: Path) -> Bundle:
    """Export a model that embeds texts in the precisions that round what enters products."""
    source, texts = save(model, folder / "checkpoint"), folder / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in GOLDEN_TEXTS))
    return export(
        source,
        folder / "bundle",
        task="sentence-embedding",
        widths=[1, 0.5],
        precisions=["int8", "int8-static"],
        calibration_data=texts,
    )


def agreements(bundle: Bundle) -> list[float | None]:
    """Return each sub-network's lowest mean cosine, of all flavors, of its vectors and those in float32."""
    return [subnet.export_error.agreement for subnet in bundle.manifest.subnetworks]


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_vectors_of_networks_with_outliers_are_those_in_float32(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_outliers(family)
    found = agreements(exported(model, tmp_path))
    assert len(found) == 4
    assert all(agreement > 0.995 for agreement in found)

    monkeypatch.setattr(calibration, "_OUTLIER", np.inf)
    assert all(agreement < 0.985 for agreement in agreements(exported(model, tmp_path)))


def test_outliers_are_the_few_columns_that_make_a_range_wide(tmp_path: Path) -> None:
    source = read_checkpoint(save(with_outliers("bert"), tmp_path))
    inputs, _ = random_inputs(source, 64, token_types=False)
    stored = as_stored(source, "int8")
    roundings = calibration.find_outliers(source, full_subnet(source, "int8"), stored, inputs)
    found = {unit: rounding.outliers for unit, rounding in roundings.items() if rounding.outliers}
    assert found == {**dict.fromkeys(("1.q", "1.k", "1.v", "1.ffn_in"), (COLUMN,)), "1.ffn_out": tuple(NEURONS)}


def test_outliers_that_do_little_harm_are_rounded_like_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_checkpoint(save(with_outliers("bert"), tmp_path))
    inputs, _ = random_inputs(source, 64, token_types=False)
    arguments = source, full_subnet(source, "int8"), as_stored(source, "int8"), inputs
    assert any(one.outliers for one in calibration.find_outliers(*arguments).values())
    monkeypatch.setattr(calibration, "_HARMLESS", np.inf)
    assert not any(one.outliers for one in calibration.find_outliers(*arguments).values())


def test_only_layers_with_outliers_have_a_part_for_them(tmp_path: Path) -> None:
    found = {}
    for name, model in {"with": with_outliers("bert"), "without": random_classifier("bert", **SIZES)}.items():
        bundle = exported(model, tmp_path)
        for flavor, file in bundle.subnet("w1.00-d1.00-int8").graphs.items():
            graph = onnx.load(bundle.path / file.file, load_external_data=False).graph
            operators = Counter(node.op_type for node in graph.node)
            found[name, flavor] = operators["ScatterElements"], operators["QAttention"]
    # Of four layers the second: the product of q, k and v, which ONNX Runtime's operator has no outliers in, and two.
    assert found == {
        ("with", "fused"): (3, 3),
        ("with", "portable"): (3, 0),
        ("without", "fused"): (0, 4),
        ("without", "portable"): (0, 0),
    }
