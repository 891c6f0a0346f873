"""Models that embed texts: bundles give what sentence-transformers gives, from folder to vector."""

import itertools
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_models import HIDDEN, alter, dense, sentence_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from starlette.testclient import TestClient

import edgebert
from edgebert.engines.session import open_session
from edgebert.errors import EdgeBertError, ExportError
from edgebert.exporters.build import export
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.plan import PRECISIONS
from edgebert.exporters.sentence_layers import POOLINGS
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer, pad
from profiles import way

Make = Callable[..., Path]
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
    bundle = export(tmp_path / "model", tmp_path / "bundle", precisions=["fp32", "fp16"])
    right = model.encode(TEXTS)
    for flavor, (precision, share) in itertools.product(("fused", "portable"), {"fp32": 2e-5, "fp16": 0.01}.items()):
        found = vectors_of(bundle, f"full-{precision}", flavor, TEXTS)
        np.testing.assert_allclose(found, right, atol=share * np.abs(right).max())


# Where the first token is not what classifiers of the family read, and where it is.
FIRST = {"bert": {}, "xlnet": {}, "modernbert": {"classifier_pooling": "mean"}}


@pytest.mark.parametrize("family", [family.model_types[0] for family in FAMILIES])
def test_networks_of_all_families_embed(family: str, tmp_path: Path) -> None:
    model = sentence_model(tmp_path / "model", family=family)
    bundle = export(tmp_path / "model", tmp_path / "bundle", widths=(0.5, 1.0), precisions=["fp32"])
    # That every graph is what the reference makes of its slice, the export itself has checked.
    np.testing.assert_allclose(vectors_of(bundle, "w1.00-d1.00-fp32", "fused", TEXTS), model.encode(TEXTS), atol=1e-5)
    assert "token_type_ids" not in bundle.manifest.inputs


@pytest.mark.parametrize("family", FIRST)
def test_the_first_token_is_that_of_the_text(family: str, tmp_path: Path) -> None:
    model = sentence_model(tmp_path / "model", Pooling(HIDDEN, "cls"), family=family, **FIRST[family])
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"text": "{text.strip()}"}}\n' for text in TEXTS))
    bundle = export(tmp_path / "model", tmp_path / "bundle", precisions=PRECISIONS, calibration_data=texts)
    np.testing.assert_allclose(vectors_of(bundle, "full-fp32", "portable", TEXTS), model.encode(TEXTS), atol=1e-4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of four sub-networks of a model whose vectors may be cut, with quality on scored pairs."""
    folder = tmp_path_factory.mktemp("embeddings")
    sentence_model(folder / "model")
    scored = zip(TEXTS[:3] * 2, TEXTS, range(6), strict=True)
    (folder / "pairs.tsv").write_text("text\tpair\tlabel\n" + "".join(f"{a}\t{b}\t{n}\n" for a, b, n in scored))
    grid = {"widths": (0.5, 1.0), "depths": (0.5, 1.0)}
    data = {"evaluation_data": folder / "pairs.tsv", "texts": folder / "pairs.tsv"}
    return export(folder / "model", folder / "bundle", **grid, dims=(24, 8), precisions=["int8"], **data)


def test_one_index_serves_queries_by_every_sub_network(bundle: Bundle) -> None:
    ids = [subnet.id for subnet in bundle.manifest.subnetworks]
    index = edgebert.load(bundle, subnet=ids[0], dims=24)(TEXTS)
    for subnet_id in ids:
        with edgebert.load(bundle, subnet=subnet_id) as model:
            query = model(TEXTS[0], dims=24)
            assert (query.space, query.networks, query.shape) == (index.space, (subnet_id,), (24,))
            # These random networks were not taught to agree: what holds is that all compare what they give.
            expected = [query @ one / np.linalg.norm(query) / np.linalg.norm(one) for one in index]
            np.testing.assert_allclose(model.similarity(query, index), [expected], atol=1e-5)
    assert index.networks == (ids[0],)
    assert np.concatenate([index, query[None]]).networks == (ids[0], ids[-1])


def test_the_http_service_tells_where_vectors_are_from(bundle: Bundle) -> None:
    example = Path(__file__).parents[2] / "examples" / "http_service.py"
    with (
        edgebert.load(bundle) as model,
        TestClient(runpy.run_path(str(example))["service"](str(bundle.path))) as client,
    ):
        found = client.post("/predict", json={"texts": TEXTS[:2], "options": {"dims": 8}}).json()
        expected = model(TEXTS[:2], dims=8)
        assert (found["space"], found["networks"]) == (expected.space, list(expected.networks))
        np.testing.assert_allclose(found["predictions"], expected, atol=1e-6)


def test_quality_is_known_for_all_dims_beside_the_full_network(bundle: Bundle) -> None:
    largest = bundle.manifest.subnetworks[0].quality
    assert largest is not None
    cut = {f"{name}_{dims}" for name in ("spearman_to_full", "spearman") for dims in (24, 8)}
    assert set(largest.also) == {"spearman", "fidelity", "rank_agreement", *cut}
    assert largest.metric == "spearman_to_full"
    assert largest.also["fidelity"] > 0.99
    data = bundle.path.parent / "pairs.tsv"
    found = {one.id: one for one in edgebert.evaluate(data, bundle).subnetworks}
    smallest = bundle.manifest.subnetworks[-1]
    alone = edgebert.evaluate(data, bundle, subnets=[smallest.id]).subnetworks[0]
    assert alone.metrics == found[smallest.id].metrics  # the full network is run though it is not asked for
    assert smallest.quality is not None
    assert found[smallest.id].metrics["spearman"] == smallest.quality.also["spearman"]


def test_the_space_is_that_of_the_checkpoint_whatever_is_exported_of_it(bundle: Bundle, tmp_path: Path) -> None:
    source = bundle.path.parent / "model"
    small = export(source, tmp_path / "small", widths=(0.5,), precisions=["fp32"], name="x").manifest.embedding
    known = bundle.manifest.embedding
    assert known is not None
    assert small is not None
    assert (small.space, small.dims, known.dims) == (known.space, (HIDDEN,), (HIDDEN, 24, 8))

    other = sentence_model(tmp_path / "other", Pooling(HIDDEN, "max"), Normalize())
    assert other is not None
    found = export(tmp_path / "other", tmp_path / "bundle", precisions=["fp32"])
    with pytest.raises(EdgeBertError, match=r"expected embeddings of one space, found"):
        edgebert.load(found).similarity(edgebert.load(bundle)(TEXTS), edgebert.load(found)(TEXTS))
    with pytest.raises(ExportError, match=r"expected embeddings of the space, the dims and the prompts of"):
        export([source, tmp_path / "other"], tmp_path / "both", precisions=["fp32"])


def test_dims_of_an_elastic_checkpoint_are_those_that_it_was_trained_for(tmp_path: Path) -> None:
    sentence_model(tmp_path / "model")
    known = {"schema_version": 1, "method": "x", "widths": [1.0], "depths": [1.0], "rewired": True, "origin": "x"}
    alter(tmp_path / "model", "elastic.json", **known, dims=[HIDDEN, 16], space="c" * 64)
    found = export(tmp_path / "model", tmp_path / "bundle", precisions=["fp32"]).manifest.embedding
    assert found is not None
    assert (found.dims, found.space) == ((HIDDEN, 16), "c" * 64)
    with pytest.raises(ExportError, match=f"expected dims of {HIDDEN}, 16, which it was trained for, found 8; name"):
        export(tmp_path / "model", tmp_path / "bundle", precisions=["fp32"], dims=[8])


def test_dims_that_are_too_many_or_of_other_tasks_are_refused(bundle: Bundle, make_checkpoint: Make) -> None:
    with pytest.raises(ExportError, match=f"expected dims of at most {HIDDEN}, found 99; name others with --dims"):
        export(bundle.path.parent / "model", bundle.path.parent / "none", dims=[99])
    with pytest.raises(ExportError, match=r"dims are those of embeddings, found the task text-classification; leave"):
        export(make_checkpoint(), bundle.path.parent / "none", dims=[8])
    with pytest.raises(EdgeBertError, match=f"expected dims of {HIDDEN}, 24, 8, which the network was trained for"):
        edgebert.load(bundle, dims=16)


def test_a_network_alone_is_pooled_by_the_mean_where_that_is_asked_for(tmp_path: Path) -> None:
    sentence_model(tmp_path / "model", Pooling(HIDDEN))
    network = tmp_path / "model-network"
    with pytest.raises(ExportError, match=r"found .*BertModel.*; fine-tune it for its task first, or give --task sent"):
        export(network, tmp_path / "bundle")
    found = export(network, tmp_path / "bundle", task="sentence-embedding", precisions=["fp32"])
    right = SentenceTransformer(str(network), device="cpu").encode(TEXTS[:3])
    np.testing.assert_allclose(edgebert.load(found)(TEXTS[:3]), right, atol=1e-4)
    with pytest.raises(ExportError, match=r"no task 'text-regression' for this checkpoint; choose one of sentence-emb"):
        export(tmp_path / "model", tmp_path / "bundle", task="text-regression")


def test_prompts_case_and_length_are_those_of_the_folder(tmp_path: Path) -> None:
    sentence_model(tmp_path / "model")
    settings = {"prompts": {"query": "the "}, "default_prompt_name": "query", "similarity_fn_name": "euclidean"}
    alter(tmp_path / "model", "config_sentence_transformers.json", **settings)
    alter(tmp_path / "model", "sentence_bert_config.json", do_lower_case=True, max_seq_length=7)
    # BERT's puts texts into lower case by itself.
    alter(tmp_path / "model", "tokenizer_config.json", do_lower_case=False)
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    bundle = export(tmp_path / "model", tmp_path / "bundle", precisions=["fp32"])
    assert bundle.manifest.max_length == 7
    found = edgebert.load(bundle)
    for options in ({}, {"prompt": "bad "}, {"prompt_name": "document"}):
        np.testing.assert_allclose(found(TEXTS, **options), model.encode(TEXTS, **options), atol=1e-5)
    vectors = model.encode(TEXTS)
    np.testing.assert_allclose(
        found.similarity(vectors, vectors[:2]), model.similarity(vectors, vectors[:2]), atol=1e-4
    )


def test_a_pair_is_two_texts_and_none(bundle: Bundle) -> None:
    with pytest.raises(EdgeBertError, match=r"expected single texts, found a pair, which this bundle was not exported"):
        edgebert.load(bundle)(("a", "b"))
    (one,) = edgebert.predict_all("the film", bundle)
    assert (one.shape, one.space) == ((HIDDEN,), bundle.manifest.embedding.space)
