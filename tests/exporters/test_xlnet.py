"""XLNet: attention by distance and segment, padding on either side, and a classifier that reads the last token."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import oracle
import pytest
from random_models import random_classifier, write_texts
from transformers import PreTrainedModel, TextClassificationPipeline, XLNetTokenizer

import edgebert
from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.engines.session import open_session
from edgebert.errors import ExportError
from edgebert.exporters import reference
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.families import xlnet
from edgebert.exporters.plan import PRECISIONS
from edgebert.exporters.positions import with_positions
from edgebert.exporters.verify import random_inputs
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Flavor, Subnet
from profiles import way

FLAVORS: tuple[Flavor, ...] = ("fused", "portable")
MAX_LENGTH = 40
PIECES = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>", "\u2581"]
PIECES += [
    *"abcdefghijklmnopqrstuvwxyz.,!?",
    "\u2581film",
    "\u2581the",
    "\u2581good",
    "\u2581bad",
    "ing",
    "\u2581w",
    "arm",
]
# Slices that keep other heads and neurons in each layer; one is a single layer, in which only <cls> is computed.
SLICES = (
    Slice(id="all", layers=(0, 1, 2, 3), heads=(4, 4, 4, 4), ffn=(96, 96, 96, 96)),
    Slice(id="ticket", layers=(0, 2, 3), heads=(3, 1, 2), ffn=(50, 96, 7)),
    Slice(id="one-layer", layers=(1,), heads=(3,), ffn=(60,)),
)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return random_classifier("xlnet", vocab_size=len(PIECES) + 3, pad_token_id=5)


@pytest.fixture(scope="module")
def checkpoint(model: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model with a tokenizer, as transformers saves them."""
    folder = tmp_path_factory.mktemp("xlnet") / "checkpoint"
    model.save_pretrained(folder)
    vocabulary = [(piece, -float(number)) for number, piece in enumerate(PIECES)]
    XLNetTokenizer(
        vocab=vocabulary, model_input_names=["input_ids", "token_type_ids", "attention_mask"]
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Checkpoint:
    return read_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("exported")
    manifest = ElasticManifest(
        schema_version=1, method="early-bird", widths=(), depths=(), rewired=True, origin="x", subnetworks=SLICES
    )
    manifest.save(checkpoint)
    texts = write_texts(folder / "texts.tsv")
    bundle = export(checkpoint, folder / "bundle", precisions=PRECISIONS, calibration_data=texts, max_length=MAX_LENGTH)
    (checkpoint / "elastic.json").unlink()
    return bundle


@pytest.fixture(scope="module")
def batches(source: Checkpoint) -> tuple[Arrays, ...]:
    """Padded batches with types 0, 1 and 2 anywhere, of lengths from 1 to the most."""
    shortest = random_inputs(source, 2, token_types=True)[0]
    one = {name: array[:, :1] for name, array in shortest.items()}
    return (
        one,
        *random_inputs(source, MAX_LENGTH, token_types=True),
        *random_inputs(source, 33, token_types=True, seed=1),
    )


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("precision", ["fp32", "int8-weights"])
def test_graphs_are_transformers_xlnet(
    exported: Bundle, model: PreTrainedModel, batches: tuple[Arrays, ...], flavor: Flavor, precision: str
) -> None:
    right = oracle.rounded(model) if precision == "int8-weights" else model
    for part in SLICES:
        subnet = exported.subnet(f"{part.id}-{precision}")
        session, cut = open_session(exported, subnet, way(flavor=flavor)), oracle.cut(right, subnet)
        for inputs in batches:
            np.testing.assert_allclose(
                session.run(inputs)["logits"], oracle.logits(cut, inputs), atol=1e-4, err_msg=part.id
            )


def test_the_reference_is_transformers_xlnet(
    exported: Bundle, source: Checkpoint, model: PreTrainedModel, batches: tuple[Arrays, ...]
) -> None:
    for part in SLICES:
        subnet = exported.subnet(f"{part.id}-fp32")
        for inputs in batches:
            found = reference.outputs(subnet, source, source.tensors, inputs)["logits"]
            np.testing.assert_allclose(found, oracle.logits(oracle.cut(model, subnet), inputs), atol=2e-5)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("precision", ["fp32", "int8-static", "int8-weights"])
def test_a_batch_of_mixed_lengths_gives_the_answers_of_each_alone(
    exported: Bundle, batches: tuple[Arrays, ...], flavor: Flavor, precision: str
) -> None:
    session = open_session(exported, exported.subnet(f"ticket-{precision}"), way(flavor=flavor))
    padded = session.run(batches[1])["logits"]
    for row, length in enumerate(batches[1]["attention_mask"].sum(axis=1)):
        alone = {name: array[row : row + 1, :length] for name, array in batches[1].items()}
        np.testing.assert_allclose(session.run(alone)["logits"][0], padded[row], atol=1e-5)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("part", SLICES, ids=lambda part: part.id)
def test_padding_may_stand_on_either_side_and_hold_anything(
    exported: Bundle, batches: tuple[Arrays, ...], flavor: Flavor, part: Slice
) -> None:
    session, right = open_session(exported, exported.subnet(f"{part.id}-fp32"), way(flavor=flavor)), batches[1]
    left = oracle.padded_left(right)
    assert not left["attention_mask"][0, 0]
    other = {
        "input_ids": np.where(left["attention_mask"], left["input_ids"], 5),
        "attention_mask": left["attention_mask"],
        "token_type_ids": np.where(left["attention_mask"], left["token_type_ids"], 3),  # as XLNet's tokenizer pads
    }
    for inputs in (left, other):
        np.testing.assert_allclose(session.run(inputs)["logits"], session.run(right)["logits"], atol=1e-5)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_without_pairs_cls_is_the_only_token_of_another_type(
    checkpoint: Path, model: PreTrainedModel, batches: tuple[Arrays, ...], tmp_path: Path, flavor: Flavor
) -> None:
    bundle = export(checkpoint, tmp_path / "bundle", precisions=["fp32"], pairs=False, max_length=MAX_LENGTH)
    assert bundle.manifest.inputs == ("input_ids", "attention_mask")
    inputs = batches[1]
    alone = {name: inputs[name] for name in bundle.manifest.inputs}
    types = np.zeros_like(inputs["input_ids"])
    types[np.arange(len(types)), inputs["attention_mask"].sum(axis=1) - 1] = 2
    for given, expected in ((alone, types), (oracle.padded_left(alone), types)):
        found = open_session(bundle, bundle.manifest.subnetworks[0], way(flavor=flavor)).run(given)["logits"]
        np.testing.assert_allclose(found, oracle.logits(model, {**inputs, "token_type_ids": expected}), atol=1e-4)


def test_what_layers_were_dropped_of_keeps_its_numbers_and_shares_its_bytes(
    checkpoint: Path, model: PreTrainedModel, batches: tuple[Arrays, ...], tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "dropped")
    part = Slice(id="dropped", layers=(2, 3, 5, 7), heads=(4,) * 4, ffn=(96,) * 4)
    manifest = ElasticManifest(
        schema_version=1, method="layer-drop", widths=(), depths=(), rewired=False, origin="x", subnetworks=(part,)
    )
    msgspec.structs.replace(manifest, layers=part.layers).save(tmp_path / "dropped")
    both = [checkpoint, tmp_path / "dropped"]
    bundle = export(both, tmp_path / "bundle", precisions=["fp32"], max_length=MAX_LENGTH)
    assert bundle.manifest.weight_files[0].size_bytes < 1.5 * 4 * model.num_parameters()
    for subnet in bundle.manifest.subnetworks:
        found = open_session(bundle, subnet, way()).run(batches[1])["logits"]
        np.testing.assert_allclose(found, oracle.logits(model, batches[1]), atol=1e-4)


def test_portable_graphs_are_standard_onnx(exported: Bundle) -> None:
    for subnet in exported.manifest.subnetworks:
        path = exported.path / subnet.graphs["portable"].file
        onnx.checker.check_model(path, full_check=True)
        graph = onnx.load(path, load_external_data=False).graph
        assert {node.domain for node in graph.node} == {""}


def test_parameters_are_the_checkpoints_without_what_pretraining_alone_needs(
    source: Checkpoint, model: PreTrainedModel
) -> None:
    sizes = {"id": "x", "method": "x", "width": None, "depth": None, "precision": "fp32"}
    full = Subnet(**sizes, layers=(0, 1, 2, 3), heads=(4,) * 4, ffn=(96,) * 4)  # type: ignore[arg-type]
    assert parameters_of(full, source) == model.num_parameters() - model.transformer.mask_emb.numel()
    half = Subnet(**sizes, layers=(0, 2), heads=(2, 4), ffn=(96, 6))  # type: ignore[arg-type]
    layer = sum(parameter.numel() for parameter in model.transformer.layer[0].parameters())
    heads, neurons = 2 * (5 * 48 * 12 + 3 * 12 + 2 * 12), 90 * (2 * 48 + 1)
    assert parameters_of(half, source) == parameters_of(full, source) - 2 * layer - heads - neurons


def test_keys_of_distances_are_stored_by_head_and_divided(source: Checkpoint) -> None:
    keys = with_positions(source, 6)["1.r.keys"]
    assert keys.shape == (4, 12, 12)
    frequencies = 10_000.0 ** (-np.arange(24) / 24)
    for column, distance in ((0, 6), (5, 1), (6, 0), (11, -5)):
        wave = np.concatenate([np.sin(distance * frequencies), np.cos(distance * frequencies)])
        expected = (source.tensors["1.r.weight"] @ wave).reshape(4, 12) / np.sqrt(12)
        np.testing.assert_allclose(keys[:, :, column], expected, atol=1e-5)


def test_a_text_and_a_pair_are_answered_as_by_a_transformers_pipeline(
    checkpoint: Path, model: PreTrainedModel, tmp_path: Path, printed_by: Callable[..., object]
) -> None:
    bundle = str(tmp_path / "bundle")
    options = ["--precisions", "fp32,int8", "--max-length", str(MAX_LENGTH), "--json"]
    printed_by("export", str(checkpoint), "--out", bundle, *options)
    pipeline = TextClassificationPipeline(model=model, tokenizer=XLNetTokenizer.from_pretrained(checkpoint))
    texts = ["the good film!", "bad", "a warming   film, " * 30, "xyz \u00e9t\u00e9 9"]
    with edgebert.load(bundle, subnet="full-fp32") as ours:
        found, expected = ours(texts), pipeline(texts, truncation=True, max_length=MAX_LENGTH)
        assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
        assert [answer["score"] for answer in found] == pytest.approx(
            [answer["score"] for answer in expected], abs=1e-5
        )
        for pair in (("good", "bad film"), ("the film " * 30, "bad, bad " * 20)):
            theirs = pipeline({"text": pair[0], "text_pair": pair[1]}, truncation=True, max_length=MAX_LENGTH)
            assert ours(pair)[0]["score"] == pytest.approx(theirs["score"], abs=1e-5)
    printed_by("profile", bundle, "--quick", "--lengths", "8,40", "--out", str(tmp_path / "p.json"))
    profile = json.loads((tmp_path / "p.json").read_text())
    assert all(one["numerics_ok"] for one in profile["subnetworks"])


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "given"),
    [
        ({}, {}, True),
        ({"transformers_version": "4.57.6"}, {}, True),
        ({"transformers_version": "5.23.0"}, {}, False),
        ({"transformers_version": "5.23.0"}, {"model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({"transformers_version": "4.57.6"}, {"model_input_names": ["input_ids"]}, False),
    ],
)
def test_types_are_heeded_if_the_tokenizer_gave_them(
    config: dict[str, str], tokenizer_config: dict[str, object], given: bool
) -> None:
    assert xlnet.FAMILY.gives_types(config, tokenizer_config) == given


def test_a_checkpoint_of_transformers_5_is_answered_without_types_as_its_pipeline_does(
    checkpoint: Path, model: PreTrainedModel, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    vocabulary = [(piece, -float(number)) for number, piece in enumerate(PIECES)]
    tokenizer = XLNetTokenizer(vocab=vocabulary)
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", tmp_path / "bundle", precisions=["fp32"], max_length=MAX_LENGTH)
    assert bundle.manifest.inputs == ("input_ids", "attention_mask")
    pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer)
    with edgebert.load(bundle, subnet="full-fp32") as ours:
        assert ours("the good film!")[0]["score"] == pytest.approx(pipeline("the good film!")[0]["score"], abs=1e-5)
        expected = pipeline({"text": "the good film!", "text_pair": "bad"})["score"]
        assert ours(("the good film!", "bad"))[0]["score"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ff_activation": "prelu"}, "ff_activation 'prelu' is not supported; expected one of gelu"),
        ({"attn_type": "uni"}, "attn_type 'uni' is not supported; expected 'bi'"),
        ({"bi_data": True}, "bi_data true is not supported; expected false"),
        ({"clamp_len": "1"}, "expected a whole number for clamp_len, found '1'"),
        ({"d_head": 7}, "expected 12 for d_head, d_model by heads, found 7"),
        ({"summary_type": "first"}, "summary_type 'first' is not supported; expected 'last'"),
        ({"summary_use_proj": False}, "summary_use_proj false is not supported; expected true"),
        ({"summary_activation": "?"}, r"summary_activation '\?' is not supported; expected one of gelu"),
        (
            {"n_head": 6, "d_head": None},
            r"expected tensor transformer.layer.0.rel_attn.q of shape \(48, 6, 8\), found \(48, 4, 12\)",
        ),
        ({"n_head": 5}, "expected d_model to be a multiple of the heads"),
        (
            {"architectures": ["XLNetLMHeadModel"]},
            "expected a XLNetForSequenceClassification or .*; fine-tune it",
        ),
    ],
)
def test_what_cannot_be_exported_is_named(
    checkpoint: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    (tmp_path / "model.safetensors").symlink_to(checkpoint / "model.safetensors")
    config = {**json.loads((checkpoint / "config.json").read_text()), **values}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match=message):
        read_checkpoint(tmp_path)
