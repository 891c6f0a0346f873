"""One bundle of four methods: from checkpoints of several sizes to profile, choice and answers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import oracle
import pytest
import torch
from random_models import random_bert, randomise, save, write_texts
from transformers import BertForSequenceClassification

import edgebert
from edgebert.choosing.selection import Budget, select
from edgebert.cli.main import main
from edgebert.cli.tables import print_profile
from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.engines.session import open_session
from edgebert.exporters.build import export
from edgebert.exporters.plan import PRECISIONS
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.numerics import numerics
from edgebert.reporting.profile_report import profile_report
from edgebert.serving.bulk import predict_all
from profiles import way

KEPT = (1, 2, 3)
TICKET = Slice(id="ticket", layers=(0, 1, 2, 3), heads=(3, 1, 4, 2), ffn=(96, 7, 50, 64))
DROPPED = Slice(id="drop-bottom-3", layers=KEPT, heads=(4, 4, 4), ffn=(96, 96, 96))
BORT = Slice(id="bort-d2-a2-h32-i48", layers=(0, 1), heads=(2, 2), ffn=(48, 48))
ONE_OF_EACH = ["w0.50-d0.50-int8", "drop-bottom-3-int8", "ticket-int8", "bort-d2-a2-h32-i48-int8"]
METHODS = ["dynabert", "layer-drop", "early-bird", "bort"]
TEXTS = ["the good film", "bad plot!", "warm " * 30, ("good", "bad film")]


@pytest.fixture(scope="module")
def models() -> dict[str, BertForSequenceClassification]:
    """What each method made: the first two have all weights in common, the third the embeddings with them."""
    full, ticket = random_bert(num_labels=2), random_bert(num_labels=2)
    torch.manual_seed(8)
    randomise(ticket)
    ticket.bert.embeddings.load_state_dict(full.bert.embeddings.state_dict())
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    small = random_bert(num_labels=2, type_vocab_size=1, layer_norm_eps=1e-5, **sizes)
    return {"dynabert": full, "layer-drop": full, "early-bird": ticket, "bort": small}


@pytest.fixture(scope="module")
def checkpoints(models: dict[str, BertForSequenceClassification], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frontier")
    dropped = random_bert(num_labels=2, num_hidden_layers=3)
    state = models["layer-drop"].state_dict()
    for place, number in enumerate(KEPT):
        old, new = (f"bert.encoder.layer.{one}." for one in (number, place))
        state |= {name.replace(old, new): tensor for name, tensor in state.items() if name.startswith(old)}
    dropped.load_state_dict({name: tensor for name, tensor in state.items() if ".layer.3." not in name})
    for method, model in {**models, "layer-drop": dropped}.items():
        save(model, folder / method)
    for method, part, layers in (("layer-drop", DROPPED, KEPT), ("early-bird", TICKET, ()), ("bort", BORT, ())):
        manifest(method, (part,), layers).save(folder / method)
    manifest("dynabert", (), ()).save(folder / "dynabert")
    write_texts(folder / "texts.tsv")
    (folder / "dev.tsv").write_text("text\tlabel\nthe good film\t0\nbad plot\t1\nwarm\t0\nthe plot\t1\n")
    return folder


def manifest(method: str, parts: tuple[Slice, ...], layers: tuple[int, ...]) -> ElasticManifest:
    shares = () if parts else (0.5, 1.0)
    return ElasticManifest(
        schema_version=1,
        method=method,
        widths=shares,
        depths=shares,
        rewired=True,
        origin="x",
        subnetworks=parts,
        layers=layers,
    )


@pytest.fixture(scope="module")
def frontier(checkpoints: Path) -> Bundle:
    data = {"calibration_data": checkpoints / "texts.tsv", "evaluation_data": checkpoints / "dev.tsv"}
    return export([checkpoints / method for method in METHODS], checkpoints / "bundle", precisions=PRECISIONS, **data)


@pytest.fixture(scope="module")
def profile(frontier: Bundle) -> DeviceProfile:
    return edgebert.profile(frontier, lengths=[8, 64], subnets=ONE_OF_EACH, quick=True)


def test_the_manifest_lists_checkpoint_by_checkpoint(frontier: Bundle) -> None:
    expected = []
    grid = ["w1.00-d1.00", "w0.50-d1.00", "w1.00-d0.50", "w0.50-d0.50"]
    for method, names in zip(METHODS, (grid, [DROPPED.id], [TICKET.id], [BORT.id]), strict=True):
        expected += [(method, f"{name}-{precision}") for precision in PRECISIONS for name in names]
    assert [(one.method, one.id) for one in frontier.manifest.subnetworks] == expected
    assert [frontier.subnet(name).hidden_size for name in ONE_OF_EACH] == [48, 48, 48, 32]
    assert frontier.subnet("drop-bottom-3-int8").layers == KEPT
    assert (frontier.subnet("ticket-int8").heads, frontier.subnet("ticket-int8").ffn) == (TICKET.heads, TICKET.ffn)
    assert all(one.quality and one.quality.samples == 4 for one in frontier.manifest.subnetworks)


def test_each_graph_computes_what_its_own_model_does(
    frontier: Bundle, models: dict[str, BertForSequenceClassification]
) -> None:
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 60, (3, 9))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": generator.integers(0, 2, (3, 9))}
    for subnet in frontier.manifest.subnetworks:
        for flavor in subnet.graphs:
            session = open_session(frontier, subnet, way(flavor=flavor))
            assert numerics(frontier, subnet, session).ok
            if subnet.precision == "fp32":
                own = {name: inputs[name] for name in session.input_names}
                expected = oracle.logits(oracle.cut(models[subnet.method], subnet), own)
                np.testing.assert_allclose(session.run(own)["logits"], expected, atol=1e-4, err_msg=subnet.id)


def test_a_graph_takes_what_its_model_uses(frontier: Bundle) -> None:
    assert frontier.manifest.inputs == ("input_ids", "attention_mask", "token_type_ids")
    for name in ONE_OF_EACH:
        session = open_session(frontier, frontier.subnet(name), way())
        assert ("token_type_ids" in session.input_names) == (not name.startswith("bort"))


def test_what_is_equal_is_stored_once(
    frontier: Bundle, checkpoints: Path, models: dict[str, BertForSequenceClassification], tmp_path: Path
) -> None:
    """A layer-dropped model adds nothing to the one that it comes from; of a ticket's tensors the embeddings are
    there."""

    def size_bytes(*methods: str) -> int:
        paths = [checkpoints / method for method in methods]
        (file,) = export(paths, tmp_path / "bundle", precisions=["fp32"]).manifest.weight_files
        return file.size_bytes

    alone = {method: size_bytes(method) for method in METHODS}
    assert size_bytes("dynabert", "layer-drop") == alone["dynabert"]
    embeddings = sum(parameter.numel() * 4 for parameter in models["dynabert"].bert.embeddings.parameters())
    padding = 4096 * 2
    together = size_bytes("dynabert", "early-bird")
    assert abs(alone["dynabert"] + alone["early-bird"] - embeddings - together) < padding
    assert alone["early-bird"] < alone["dynabert"]  # what a ticket cuts is not stored
    (whole,) = (file for file in frontier.manifest.weight_files if file.dtype == "fp32")
    assert abs(together + alone["bort"] - whole.size_bytes) < padding


def test_every_method_is_profiled_and_chosen(frontier: Bundle, profile: DeviceProfile) -> None:
    assert {entry.id for entry in profile.subnetworks} == set(ONE_OF_EACH)
    assert all(entry.numerics_ok for entry in profile.subnetworks)
    chosen = select(frontier, profile, Budget(latency_ms=10_000))
    assert chosen.method == frontier.subnet(chosen.subnetwork).method
    assert frontier.manifest.methods[ONE_OF_EACH[1]] == "layer-drop"


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_texts_and_pairs_are_answered_by_each(frontier: Bundle, name: str) -> None:
    in_batches = predict_all(TEXTS, frontier, subnet=name)
    with edgebert.load(frontier, subnet=name) as model:
        alone = [model([text])[0] for text in TEXTS]
    for one, other in zip(in_batches, alone, strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=0.05)  # the int8 rounding of a batch is its own


def test_requests_move_between_models_of_different_inputs(frontier: Bundle, profile: DeviceProfile) -> None:
    with edgebert.load(frontier, latency_ms=10_000, profile=profile) as model:
        assert len(model(TEXTS)) == len(TEXTS)
        assert model.selection.method == model.subnet.method


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run a command in this process and return what it printed."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


def test_tables_and_choices_show_methods(
    frontier: Bundle,
    profile: DeviceProfile,
    checkpoints: Path,
    tmp_path: Path,
    printed: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "profile.json"
    profile.save(file)
    print_profile(profile_report(profile, frontier))
    budget = ("--latency-ms", 10_000, "--profile", file)
    tables = {
        "profile": capsys.readouterr().out,
        "inspect": printed("inspect", frontier.path),
        "evaluate": printed(
            "evaluate", checkpoints / "dev.tsv", "--bundle", frontier.path, "--subnets", ",".join(ONE_OF_EACH)
        ),
    }
    for verb, table in tables.items():
        rows = [line.split()[:2] for line in table.splitlines() if line.split()]
        assert ["sub-network", "method"] in rows, verb
        shown = [[name, method] for name, method in zip(ONE_OF_EACH, METHODS, strict=True) if [name, method] in rows]
        assert len(shown) >= 3, table
    chosen = json.loads(printed("select", frontier.path, *budget, "--json"))
    in_words = printed("select", frontier.path, *budget)
    assert in_words.startswith(f"{chosen['subnetwork']} ({chosen['method']}) is the best within")
    assert chosen["method"] in METHODS


def test_the_command_takes_several_checkpoints(checkpoints: Path, tmp_path: Path, printed: Callable[..., str]) -> None:
    paths = [checkpoints / method for method in ("layer-drop", "bort")]
    table = printed("export", *paths, "--out", tmp_path / "bundle")
    rows = [line.split()[:2] for line in table.splitlines()]
    assert ["drop-bottom-3-int8", "layer-drop"] in rows
    assert ["bort-d2-a2-h32-i48-int8", "bort"] in rows
    alone = printed("export", paths[0], "--out", tmp_path / "bundle")
    assert "drop-bottom-3-int8" in alone
    assert "method" not in alone


def test_checkpoints_of_all_methods_are_inspected(checkpoints: Path, printed: Callable[..., str]) -> None:
    table = printed("inspect", checkpoints / "early-bird")
    assert "elastic: early-bird, made from x" in table
    (row,) = (line for line in table.splitlines() if line.startswith("ticket"))
    assert row.endswith("0 1 2 3  3 1 4 2  96 7 50 64")
    table = printed("inspect", checkpoints / "layer-drop")
    assert "elastic: layer-drop, made from x, has the layers 1 2 3 of that" in table
    (row,) = (line for line in table.splitlines() if line.startswith("drop-bottom-3"))
    assert row.split()[-3:] == ["3", "4", "96"]
    facts = json.loads(printed("inspect", checkpoints / "layer-drop", "--json"))
    assert facts["elastic"]["layers"] == facts["subnetworks"][0]["layers"] == list(KEPT)
    assert facts["subnetworks"][0]["parameters"] == facts["parameters"]


def test_a_checkpoint_that_fails_leaves_nothing(checkpoints: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(checkpoints / "bort", tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(edgebert.EdgeBertError, match=r"broken/model.safetensors cannot be read"):
        export([checkpoints / "dynabert", broken], tmp_path / "out" / "bundle")
    assert not (tmp_path / "out").exists()
