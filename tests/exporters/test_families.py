"""Every family of encoders: its graphs compute what transformers computes, in every precision and flavor."""

from pathlib import Path

import numpy as np
import oracle
import pytest
from random_models import random_classifier, save, write_texts
from transformers import AutoModelForTokenClassification, PreTrainedModel

from edgebert.engines.session import open_session
from edgebert.exporters.build import export
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.plan import PRECISIONS
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Flavor, Precision
from edgebert.tasks.task import mean_difference
from profiles import way

Exported = tuple[PreTrainedModel, Bundle]
CASES = {
    "bert": {},
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "camembert": {"type_vocab_size": 1},
    "distilbert": {},
    "electra": {"embedding_size": 48},
    "electra, narrow embeddings": {"embedding_size": 20},
    "xlnet": {},
    "mpnet": {},
    "modernbert": {"local_attention": 12, "global_attn_every_n_layers": 2},
    "modernbert, mean and biases": {
        **{
            "classifier_pooling": "mean",
            "local_attention": 7,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
        },
        **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True),
    },
    # As v3 is, with fewer buckets than the longest text needs.
    "deberta-v2": {
        **{"relative_attention": True, "pos_att_type": "p2c|c2p", "position_buckets": 16, "share_att_key": True},
        **{"norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0},
    },
    "deberta-v2, own weights": {
        **{"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 12},
        **{"type_vocab_size": 2, "pooler_hidden_act": "relu"},
    },
    "albert": {"embedding_size": 20, "num_hidden_groups": 2},
}
# Of the largest logit, on average over texts.
SHARES: dict[Precision, float] = {"fp32": 1e-4, "int8-weights": 1e-4, "int8": 0.1, "int8-static": 0.12}


def test_every_model_type_has_a_case() -> None:
    assert {name.partition(",")[0] for name in CASES} == {name for family in FAMILIES for name in family.model_types}


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    model = random_classifier(request.param.partition(",")[0], **CASES[request.param])
    folder = tmp_path_factory.mktemp("family")
    source, texts = save(model, folder / "checkpoint"), write_texts(folder / "texts.tsv")
    grid = {"widths": (0.5, 1.0), "depths": (0.5, 1.0)}
    return model, export(source, folder / "bundle", **grid, precisions=PRECISIONS, calibration_data=texts)


def batch(model: PreTrainedModel, bundle: Bundle) -> Arrays:
    """Return padded texts of 3 to 40 tokens, with two segments where types are told apart."""
    generator, lengths = np.random.default_rng(3), np.array([3, 17, 40])
    mask = (np.arange(40) < lengths[:, None]).astype(np.int64)
    # Among them the token that padding is, which somebody may write: RoBERTa gives it no position.
    ids = generator.integers(0, model.config.vocab_size, mask.shape)
    inputs = {"input_ids": np.where(mask, ids, model.config.pad_token_id), "attention_mask": mask}
    if "token_type_ids" in bundle.manifest.inputs:
        inputs["token_type_ids"] = generator.integers(0, 2, mask.shape) * mask
    return inputs


@pytest.mark.parametrize("flavor", ["fused", "portable"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_are_transformers(exported: Exported, precision: Precision, flavor: Flavor) -> None:
    model, bundle = exported
    inputs = batch(model, bundle)
    right = oracle.rounded(model) if precision == "int8-weights" else model
    for subnet in (s for s in bundle.manifest.subnetworks if s.precision == precision):
        expected = {"logits": oracle.logits(oracle.cut(right, subnet), inputs)}
        found = open_session(bundle, subnet, way(flavor=flavor)).run(inputs)
        allowed = SHARES[precision] * max(1, np.abs(expected["logits"]).max())
        assert mean_difference(found, expected) < allowed, subnet.id


@pytest.mark.parametrize("case", CASES)
def test_every_token_has_the_logits_of_transformers(case: str, tmp_path: Path) -> None:
    family = case.partition(",")[0]
    model = random_classifier(family, AutoModelForTokenClassification, **CASES[case])
    source, grid = save(model, tmp_path / "checkpoint"), {"widths": (0.5,), "depths": (0.5,)}
    bundle = export(source, tmp_path / "bundle", **grid, precisions=["fp32", "int8"])
    assert (bundle.manifest.task, bundle.manifest.pairs) == ("token-classification", False)

    inputs = batch(model, bundle)
    real = inputs["attention_mask"] == 1
    for subnet in bundle.manifest.subnetworks:
        expected = oracle.logits(oracle.cut(model, subnet), inputs)
        if family == "xlnet":  # padded on the left there
            expected = np.stack([np.roll(row, mask.sum(), axis=0) for row, mask in zip(expected, real, strict=True)])
        for flavor in ("fused", "portable"):
            found = open_session(bundle, subnet, way(flavor=flavor)).run(inputs)["logits"]
            differences = np.abs(found - expected)[real]
            difference = differences.max() if subnet.precision == "fp32" else differences.mean()
            assert difference < SHARES[subnet.precision] * max(1, np.abs(expected).max()), (subnet.id, flavor)


def test_token_types_are_read_where_they_are_told_apart(exported: Exported) -> None:
    model, bundle = exported
    told_apart = getattr(model.config, "type_vocab_size", 0) > 1
    assert ("token_type_ids" in bundle.manifest.inputs) == told_apart


def test_texts_may_have_as_many_tokens_as_there_are_positions(exported: Exported) -> None:
    model, bundle = exported
    unused = 2 if model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
    has_none = model.config.model_type == "xlnet"
    assert bundle.manifest.max_length == (512 if has_none else model.config.max_position_embeddings - unused)


@pytest.mark.parametrize("flavor", ["fused", "portable"])
def test_without_pairs_token_types_are_no_input(tmp_path: Path, flavor: Flavor) -> None:
    model = random_classifier("bert")
    bundle = export(save(model, tmp_path / "checkpoint"), tmp_path / "bundle", precisions=["fp32"], pairs=False)
    inputs = batch(model, bundle)
    assert list(inputs) == list(bundle.manifest.inputs) == ["input_ids", "attention_mask"]
    found = open_session(bundle, bundle.manifest.subnetworks[0], way(flavor=flavor)).run(inputs)["logits"]
    np.testing.assert_allclose(found, oracle.logits(model, inputs), atol=1e-4)
