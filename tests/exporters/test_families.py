"""Every family of encoders: its graphs compute what transformers computes, in every precision and flavor."""

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import oracle
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from random_models import list_slices, random_classifier, save, write_texts
from transformers import AutoModelForTokenClassification, PreTrainedModel

from edgebert.elastic_manifest import Slice
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.engines.openvino import OPENVINO
from edgebert.engines.session import default_way, open_session
from edgebert.exporters import reference
from edgebert.exporters.build import export
from edgebert.exporters.bundle_writer import FLAVORS
from edgebert.exporters.checkpoint import Array, parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.graph import build_graph
from edgebert.exporters.plan import PRECISIONS, full_subnet
from edgebert.exporters.verify import random_inputs
from edgebert.exporters.weights import WeightWriter, as_stored, prepared, rows_read
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Arrays, Tokenizer, pad
from edgebert.measuring.numerics import numerics
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
    # As v3 is, with fewer buckets than the longest text needs.
    "deberta-v2": {
        **{"relative_attention": True, "pos_att_type": "p2c|c2p", "position_buckets": 16, "share_att_key": True},
        **{"norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0},
    },
    "albert": {"embedding_size": 20, "num_hidden_groups": 2},
}
NEWER = ("mpnet", "modernbert", "deberta-v2", "albert")
# What else a configuration of theirs may say, in float32 alone.
VARIANTS = {
    "modernbert, mean and biases": {
        **{"classifier_pooling": "mean", "local_attention": 7},
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
        **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True),
    },
    "deberta-v2, weights of its own for distances": {
        **{"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 12},
        **{"type_vocab_size": 2, "pooler_hidden_act": "relu"},
    },
    "deberta-v2, keys alone": {"relative_attention": True, "pos_att_type": ["p2c"], "position_biased_input": False},
    "deberta-v2, no distances": {"type_vocab_size": 2, "position_biased_input": False},
    "albert, one group": {"embedding_size": 48},
}
WHOLE = Slice(id="whole", layers=(0, 1, 2, 3), heads=(4,) * 4, ffn=(96,) * 4)
OTHERS = (
    Slice(id="half-width", layers=(0, 1, 2, 3), heads=(2,) * 4, ffn=(48,) * 4),
    Slice(id="half-depth", layers=(0, 2), heads=(4, 4), ffn=(96, 96)),
    Slice(id="uneven", layers=(1, 2, 3), heads=(1, 4, 3), ffn=(7, 96, 50)),
    Slice(id="one", layers=(3,), heads=(1,), ffn=(24,)),
)
HALF = Slice(id="half", layers=(0, 2), heads=(2, 2), ffn=(48, 48))
# Slices that keep other heads and neurons in each layer; one is a single layer, in which only one token is computed.
SLICES = (
    Slice(id="ticket", layers=(0, 2, 3), heads=(3, 1, 2), ffn=(50, 96, 7)),
    Slice(id="one-layer", layers=(1,), heads=(3,), ffn=(60,)),
)
# Of the largest logit, on average over texts: half as much again as the family that rounding moves farthest needs.
SHARES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-3, "int8-weights": 1e-4, "int8": 0.05, "int8-static": 0.032}
# Its gates multiply what has outliers by what has too, and no norm stands behind what layers add to its states.
SHARE_OF_MODERNBERT_STATIC = 0.07


def test_every_model_type_has_a_case() -> None:
    assert {name.partition(",")[0] for name in CASES} == {name for family in FAMILIES for name in family.model_types}


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, every_shape: bool) -> Exported:
    model = random_classifier(request.param.partition(",")[0], **CASES[request.param])
    folder = tmp_path_factory.mktemp("family")
    source, texts = save(model, folder / "checkpoint"), write_texts(folder / "texts.tsv")
    list_slices(source, WHOLE, HALF, *(OTHERS if every_shape else ()))
    # XLNet has no most of its own, and the usual one takes long.
    more = {"max_length": 64} if request.param == "xlnet" else {}
    return model, export(source, folder / "bundle", precisions=PRECISIONS, calibration_data=texts, **more)


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


def calibration_batch(bundle: Bundle) -> Arrays:
    rows = [row.input for row in read_examples(bundle.path.with_name("texts.tsv"))]
    return pad(Tokenizer.of(bundle).encode_all(rows[:12]), bundle.manifest.inputs)


@pytest.mark.parametrize("flavor", ["fused", "portable"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_are_transformers(exported: Exported, precision: Precision, flavor: Flavor) -> None:
    model, bundle = exported
    # In int8-static texts of those that it was calibrated on: what lies beyond their ranges is cut off.
    inputs = calibration_batch(bundle) if precision == "int8-static" else batch(model, bundle)
    right = oracle.rounded(model) if precision == "int8-weights" else model
    for subnet in (s for s in bundle.manifest.subnetworks if s.precision == precision):
        expected = {"logits": oracle.logits(oracle.cut(right, subnet), inputs)}
        found = open_session(bundle, subnet, way(flavor=flavor)).run(inputs)
        share = SHARES[precision]
        if (precision, model.config.model_type) == ("int8-static", "modernbert"):
            share = SHARE_OF_MODERNBERT_STATIC
        allowed = share * max(1, np.abs(expected["logits"]).max())
        assert mean_difference(found, expected) < allowed, subnet.id


def test_openvino_gives_the_golden_outputs_in_free_and_in_fixed_shapes(exported: Exported) -> None:
    _, bundle = exported
    free = default_way("openvino", threads=1)
    fixed = FixedShapes((12, min(64, bundle.manifest.max_length)), (1, 4))
    for subnet in (one for one in bundle.manifest.subnetworks if OPENVINO.takes(one.precision)):
        for options, shapes in (((), None), (fixed.options, fixed)):
            session = open_session(bundle, subnet, msgspec.structs.replace(free, options=options))
            found = numerics(bundle, subnet, session, shapes)
            assert found.ok, (subnet.id, options, str(found))


@pytest.mark.parametrize("case", CASES)
def test_every_token_has_the_logits_of_transformers(case: str, tmp_path: Path) -> None:
    family = case.partition(",")[0]
    model = random_classifier(family, AutoModelForTokenClassification, **CASES[case])
    source = list_slices(save(model, tmp_path / "checkpoint"), HALF)
    more = {"max_length": 64} if family == "xlnet" else {}
    bundle = export(source, tmp_path / "bundle", precisions=["fp32", "fp16", "int8"], **more)
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


class GatherElements(OpRun):  # type: ignore[misc]
    """onnx's own takes no more than 64 rows."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        return (np.take_along_axis(data, indices, axis),)


def test_a_device_that_computes_in_float16_gives_golden_outputs(exported: Exported) -> None:
    """As a GPU does and ONNX Runtime's CPU provider does not: operator by operator, and in the reference."""
    _, bundle = exported
    source, golden = read_checkpoint(bundle.path.parent / "checkpoint"), bundle.golden()
    inputs, tensors = (
        {name: np.array(rows, np.int64) for name, rows in golden.inputs.items()},
        as_stored(source, "fp16"),
    )
    for subnet in (one for one in bundle.manifest.subnetworks if one.precision == "fp16"):
        graph = ReferenceEvaluator(str(bundle.path / subnet.graphs["portable"].file), new_ops=[GatherElements])
        (of_graph,) = graph.run(None, inputs)
        in_numpy = reference.outputs(subnet, source, tensors, inputs, lambda _, x: halved(x), halved)["logits"]
        (right,) = golden.values_of(subnet.id)
        for found in (of_graph, in_numpy):
            assert 0 < mean_difference({"": found}, {"": right.array}) < right.tolerance < 0.01 * np.abs(found).max()


def halved(x: Array) -> Array:
    return x.astype(np.float16).astype(np.float32)


def test_token_types_are_read_where_they_are_told_apart(exported: Exported) -> None:
    model, bundle = exported
    told_apart = getattr(model.config, "type_vocab_size", 0) > 1
    assert ("token_type_ids" in bundle.manifest.inputs) == told_apart


def test_texts_may_have_as_many_tokens_as_there_are_positions(exported: Exported) -> None:
    model, bundle = exported
    unused = 2 if model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
    if model.config.model_type != "xlnet":
        assert bundle.manifest.max_length == model.config.max_position_embeddings - unused


def test_texts_have_512_tokens_where_a_model_has_no_positions(tmp_path: Path) -> None:
    source = list_slices(save(random_classifier("xlnet"), tmp_path / "checkpoint"), HALF)
    bundle = export(source, tmp_path / "bundle", precisions=["fp32"])
    assert bundle.manifest.max_length == 512


@pytest.mark.parametrize("flavor", ["fused", "portable"])
def test_without_pairs_token_types_are_no_input(tmp_path: Path, flavor: Flavor) -> None:
    model = random_classifier("bert")
    bundle = export(save(model, tmp_path / "checkpoint"), tmp_path / "bundle", precisions=["fp32"], pairs=False)
    inputs = batch(model, bundle)
    assert list(inputs) == list(bundle.manifest.inputs) == ["input_ids", "attention_mask"]
    found = open_session(bundle, bundle.manifest.subnetworks[0], way(flavor=flavor)).run(inputs)["logits"]
    np.testing.assert_allclose(found, oracle.logits(model, inputs), atol=1e-4)


@pytest.mark.parametrize("name", [*NEWER, *VARIANTS])
def test_uneven_slices_of_the_newer_families_are_transformers(tmp_path: Path, name: str) -> None:
    model = random_classifier(name.partition(",")[0], **{**CASES, **VARIANTS}[name])
    model.save_pretrained(tmp_path)
    source = read_checkpoint(tmp_path)
    has_types = source.token_types
    weights = WeightWriter(tmp_path, "fp32").add(prepared(source, 40, token_types=has_types))
    batches = random_inputs(source, 40, token_types=has_types)
    for subnet in (part.subnet("test", "fp32") for part in SLICES):
        cut = oracle.cut(model, subnet)
        expected = [oracle.logits(cut, inputs) for inputs in batches]
        for inputs, right in zip(batches, expected, strict=True):
            np.testing.assert_allclose(
                reference.outputs(subnet, source, source.tensors, inputs)["logits"], right, atol=1e-4
            )
        for flavor in FLAVORS:
            (tmp_path / "graph.onnx").write_bytes(
                build_graph(subnet, flavor, source, tuple(batches[0]), weights, {})  # type: ignore[arg-type]
            )
            session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
            for inputs, right in zip(batches, expected, strict=True):
                np.testing.assert_allclose(
                    session.run(None, inputs)[0], right, atol=1e-4, err_msg=f"{subnet.id} {flavor}"
                )
            # Each text alone as it is among longer ones, in whose batch it is padded.
            for row, length in enumerate(batches[0]["attention_mask"].sum(axis=1)):
                alone = {key: array[row : row + 1, :length] for key, array in batches[0].items()}
                np.testing.assert_allclose(session.run(None, alone)[0][0], expected[0][row], atol=1e-4)


@pytest.mark.parametrize("name", [*NEWER, *VARIANTS])
def test_parameters_are_those_that_transformers_counts(tmp_path: Path, name: str) -> None:
    model = random_classifier(name.partition(",")[0], **{**CASES, **VARIANTS}[name])
    model.save_pretrained(tmp_path)
    source = read_checkpoint(tmp_path)
    assert parameters_of(full_subnet(source, "fp32"), source) == model.num_parameters()


def test_alberts_depth_takes_no_bytes_and_no_memory(tmp_path: Path) -> None:
    sizes = []
    for layers in (2, 12):
        folder = tmp_path / str(layers)
        random_classifier("albert", embedding_size=20, num_hidden_layers=layers).save_pretrained(folder)
        source = read_checkpoint(folder)
        for dtype in ("fp32", "fp16", "int8"):
            stored = as_stored(source, dtype)
            assert len({id(stored[f"{layer}.q.weight"]) for layer in range(layers)}) == 1
            written = WeightWriter(folder, dtype).add(prepared(source, 40, token_types=True))
            sizes.append(written.file.size_bytes)
        half = Slice(id="half", layers=(0, 1), heads=(2, 1), ffn=(48, 24)).subnet("test", "fp32")
        assert rows_read([half], source.sizes)["1.q"] == rows_read([half], source.sizes)["0.q"] == 24
        full = full_subnet(source, "fp32")
        assert parameters_of(half, source) < parameters_of(full, source)
    assert sizes[:3] == sizes[3:]
