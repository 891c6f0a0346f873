import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from edgebert.cli.main import main
from edgebert.elastic.checkpoint import load_tokenizer, load_whole
from edgebert.elastic.events import Event
from edgebert.elastic.layer_drop.exploration import ExplorationSettings, explore
from edgebert.elastic.layer_drop.method import LayerDropSettings, layer_similarities, train
from edgebert.elastic.layer_drop.strategies import STRATEGIES, layers_left, most_dropped
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.texts import tokenise
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult, TrainingRun
from edgebert.elastic_manifest import ElasticManifest
from edgebert.engines.session import open_session
from edgebert.errors import TrainingError
from edgebert.exporters.build import export
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.text_classification import TextClassification
from profiles import way

Make = Callable[..., Path]
Command = Callable[..., int]
Run = Callable[..., TrainingResult]
QUICK = fine_tuning(2, 5e-3)
FAMILIES = (
    "headless",
    "roberta-lm",
    "distilbert-headless",
    "electra-headless",
    "xlnet-headless",
    "mpnet-headless",
    "modernbert-headless",
    "deberta-v2-headless",
    "albert-headless",
)


@pytest.mark.parametrize(
    ("strategy", "dropped"),  # of 12, as in the paper's figure, counted from 1
    [
        ("top", {2: [11, 12], 4: [9, 10, 11, 12], 6: [7, 8, 9, 10, 11, 12]}),
        ("bottom", {2: [1, 2], 4: [1, 2, 3, 4], 6: [1, 2, 3, 4, 5, 6]}),
        ("even-alternate", {2: [10, 12], 4: [6, 8, 10, 12], 6: [2, 4, 6, 8, 10, 12]}),
        ("odd-alternate", {2: [9, 11], 4: [5, 7, 9, 11], 6: [1, 3, 5, 7, 9, 11]}),
        ("symmetric", {2: [6, 7], 4: [5, 6, 7, 8], 6: [4, 5, 6, 7, 8, 9]}),
    ],
)
def test_strategies_drop_the_layers_of_the_paper(strategy: Any, dropped: dict[int, list[int]]) -> None:
    for count, layers in dropped.items():
        kept = layers_left(strategy, count, 12)
        assert [layer for layer in range(1, 13) if layer - 1 not in kept] == layers


def test_contribution_drops_what_changes_least() -> None:
    assert layers_left("contribution", 2, 4, [0.9, 0.2, 0.95, 0.5]) == (1, 3)
    assert layers_left("contribution", 1, 3, [0.5, 0.5, 0.5]) == (0, 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("layers", [1, 2, 3, 6, 7, 12])
def test_any_number_of_layers_is_dropped_and_one_is_left(strategy: Any, layers: int) -> None:
    similarities = [0.1 * (layer % 3) for layer in range(layers)]
    for count in range(most_dropped(strategy, layers) + 1):
        kept = layers_left(strategy, count, layers, similarities)
        assert len(kept) == layers - count > 0
        assert list(kept) == sorted(set(kept))
    for count in (-1, most_dropped(strategy, layers) + 1):
        with pytest.raises(TrainingError, match=f"drops 0 to {most_dropped(strategy, layers)} of {layers} layers"):
            layers_left(strategy, count, layers, similarities)


@pytest.fixture
def run(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Run:
    def run(
        kind: str = "headless", name: str = "out", options: dict[str, Any] | None = None, **settings: Any
    ) -> TrainingResult:
        model = tmp_path / "checkpoint" if (tmp_path / "checkpoint").exists() else make_checkpoint(kind)
        files = TrainingFiles(model, make_data("train.tsv", 96), make_data("dev.tsv", 40), tmp_path / name)
        quick = LayerDropSettings(**{"drop": 2, "fine_tune": QUICK, **settings})
        return train(files, quick, RunOptions(compute="fp32", **(options or {})))

    return run


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_loses_layers_is_fine_tuned_and_answers_on_the_device_as_in_transformers(
    kind: str, run: Run, tmp_path: Path
) -> None:
    trained = run(kind, strategy="symmetric")
    manifest = ElasticManifest.load(trained.checkpoint)
    assert manifest == trained.manifest
    assert manifest.method == "layer-drop"
    assert manifest.layers == manifest.subnetworks[0].layers == (0, 3)
    assert manifest.subnetworks[0].id == "drop-symmetric-2"
    assert [one.id for one in trained.scores] == ["drop-symmetric-2-fp32"]

    # What transformers loads computes what was trained and scored.
    plain = AutoModelForSequenceClassification.from_pretrained(trained.checkpoint).eval()
    assert plain.config.num_hidden_layers == 2
    texts, tokenizer = ["a good warm film", "dull"], load_tokenizer(trained.checkpoint)
    batch = tokenise(tokenizer, texts, 32).batch([0, 1], torch.device("cpu"))
    model = load_whole(trained.checkpoint, TextClassification(("negative", "positive"))).eval()
    with torch.inference_mode():
        expected = plain(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        found = model(batch.ids, batch.mask, model.subnet(), batch.types).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)

    bundle = export(trained.checkpoint, tmp_path / "bundle", precisions=("fp32", "int8"), max_length=32)
    assert [subnet.id for subnet in bundle.manifest.subnetworks] == ["drop-symmetric-2-fp32", "drop-symmetric-2-int8"]
    assert {subnet.method for subnet in bundle.manifest.subnetworks} == {"layer-drop"}
    assert {subnet.layers for subnet in bundle.manifest.subnetworks} == {(0, 3)}
    session = open_session(bundle, bundle.manifest.subnetworks[0], way())
    encoded = [Tokenizer.of(bundle).encode(text) for text in texts]
    answers = [session.run(pad([tokens], session.input_names))["logits"] for tokens in encoded]
    np.testing.assert_allclose(np.concatenate(answers), expected.numpy(), atol=1e-4)


def test_a_strategy_that_drops_a_layer_which_must_stay_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected modernbert's first layer to stay"):
        run("modernbert-headless", strategy="bottom")
    assert not (tmp_path / "out.training").exists()


def test_the_kept_layers_are_those_of_the_origin(run: Run, tmp_path: Path) -> None:
    trained = run(strategy="even-alternate", drop=1, fine_tune=fine_tuning(1, 1e-9))
    origin = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint")
    plain = AutoModelForSequenceClassification.from_pretrained(trained.checkpoint)
    assert trained.manifest.layers == (0, 1, 2)
    for ours, theirs in zip(plain.bert.encoder.layer, origin.bert.encoder.layer, strict=False):
        torch.testing.assert_close(ours.intermediate.dense.weight, theirs.intermediate.dense.weight)


def test_contribution_is_measured_on_the_training_texts(run: Run) -> None:
    trained = run(strategy="contribution", drop=1)
    assert len(trained.manifest.layers) == 3
    assert trained.manifest.subnetworks[0].id == "drop-contribution-1"


def test_a_layer_that_adds_nothing_is_dropped_first(make_checkpoint: Make, make_data: Make, tmp_path: Path) -> None:
    """ModernBERT's adds to the states, which are normed in the end."""
    checkpoint = make_checkpoint("modernbert-headless")
    files = TrainingFiles(checkpoint, make_data("train.tsv", 20), make_data("dev.tsv", 10), tmp_path / "out")
    run = TrainingRun.prepare(files, RunOptions(compute="fp32"), load_whole)
    model = run.read_model(files.model)
    for name, parameter in model.family.layers_of(model.network)[3].named_parameters():
        if name.endswith("Wo.weight"):
            torch.nn.init.zeros_(parameter)
    similarities = layer_similarities(run, model)
    assert similarities[3] == pytest.approx(1, abs=1e-5)
    assert max(similarities[:3]) < 0.999


def test_frozen_embeddings_stay_as_they_are(run: Run, tmp_path: Path) -> None:
    trained = run(fine_tune=fine_tuning(1, 5e-3, embeddings=False))
    before = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint").bert
    after = AutoModelForSequenceClassification.from_pretrained(trained.checkpoint).bert
    for ours, theirs in zip(after.embeddings.parameters(), before.embeddings.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    ours, theirs = (model.encoder.layer[0].output.dense.weight for model in (after, before))
    assert not torch.equal(ours, theirs)


def test_no_layers_dropped_is_plain_fine_tuning(run: Run) -> None:
    trained = run(drop=0)
    assert trained.manifest.method == "fine-tuning"
    assert trained.manifest.subnetworks[0].id == "full"
    assert min(one.score for one in trained.scores) > 0.8  # chance is 0.5; the task is learnt


def test_an_interrupted_training_comes_to_the_same_result(run: Run) -> None:
    def interrupt(event: Any, /) -> None:
        if event.step == 4:
            raise KeyboardInterrupt

    whole = run(name="whole")
    with pytest.raises(KeyboardInterrupt):
        run(name="parts", options={"listener": interrupt, "save_minutes": 1e-9})
    parts = run(name="parts", options={"save_minutes": 1e-9})
    assert parts.scores == whole.scores
    one, other = (
        AutoModelForSequenceClassification.from_pretrained(trained.checkpoint).state_dict()
        for trained in (whole, parts)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_work_folder_of_another_strategy_is_refused(run: Run, tmp_path: Path) -> None:
    run(name="one", options={"work": tmp_path / "work"})
    with pytest.raises(TrainingError, match="holds a training with other method_settings"):
        run(name="two", strategy="bottom", options={"work": tmp_path / "work"})


def test_several_labels_for_one_text_are_learnt(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> None:
    name = MultiLabelTextClassification.NAME
    data = make_data("train.tsv", 96, task=name), make_data("dev.tsv", 40, task=name)
    files = TrainingFiles(make_checkpoint("distilbert-headless"), *data, tmp_path / "out")
    trained = train(files, LayerDropSettings(drop=1, fine_tune=QUICK), RunOptions(TaskChoice(name), compute="fp32"))
    assert trained.metric == "micro_f1"
    assert trained.scores[0].score > 0.7
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert plain.config.problem_type == "multi_label_classification"
    assert plain.config.id2label == {0: "bad", 1: "good", 2: "worth seeing"}


def test_an_exploration_trains_each_set_of_layers_once(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> None:
    data = make_data("train.tsv", 64), make_data("dev.tsv", 20)
    files, options = TrainingFiles(make_checkpoint("headless"), *data, tmp_path / "out"), RunOptions(compute="fp32")
    settings = ExplorationSettings(("top", "even-alternate"), drops=(1,), fine_tune=fine_tuning(1, 5e-3))
    some = explore(files, settings, options)
    assert [(one.strategy, one.dropped, one.layers) for one in some.trainings] == [
        ("top", 0, (0, 1, 2, 3)),
        ("top", 1, (0, 1, 2)),
        ("even-alternate", 1, (0, 1, 2)),
    ]
    assert some.trainings[1].checkpoint == some.trainings[2].checkpoint
    written = (tmp_path / "out" / "full-seed-1" / "model.safetensors").stat().st_mtime_ns
    more = explore(files, msgspec.structs.replace(settings, drops=(1, 3)), options)
    assert more.trainings[:3] == some.trainings
    assert [(one.strategy, one.dropped) for one in more.trainings[3:]] == [("top", 3)]  # two even layers only
    assert (tmp_path / "out" / "full-seed-1" / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(TrainingError, match="a training with other stages"):
        explore(files, msgspec.structs.replace(settings, fine_tune=fine_tuning(2, 5e-3)), options)


def test_an_exploration_that_was_interrupted_goes_on(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> None:
    def interrupt(event: Event, /) -> None:
        raise KeyboardInterrupt

    data = make_data("train.tsv", 32), make_data("dev.tsv", 20)
    files, settings = (
        TrainingFiles(make_checkpoint("headless"), *data, tmp_path / "out"),
        ExplorationSettings(("top",), (1,)),
    )
    with pytest.raises(KeyboardInterrupt):
        explore(files, settings, RunOptions(compute="fp32", listener=interrupt))
    assert len(explore(files, settings, RunOptions(compute="fp32")).trainings) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "even-alternate", "--drop", "3"], "even-alternate drops 0 to 2 of 4 layers, not 3"),
        (["--drop", "1,2"], "choose one or add --explore"),
    ],
)
def test_what_cannot_be_dropped_is_one_line(
    arguments: list[str], message: str, command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*arguments) == 1
    out, error = capsys.readouterr()
    assert out == ""
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_the_command_explores(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--explore", "--drop", "1", "--epochs", "1", "--compute", "fp32"]
    assert command(*arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["strategy"] for one in found["trainings"]} == set(STRATEGIES)
    assert command(*arguments) == 0
    table = capsys.readouterr().out
    assert all(strategy in table for strategy in (*STRATEGIES, "none"))


@pytest.fixture
def command(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Command:
    """Run `edgebert train layer-drop` on a toy with some arguments and return its exit status."""
    model, data = make_checkpoint("headless"), make_data("train.tsv", 32)
    places = ["--model", model, "--train", data, "--dev", data, "--out", tmp_path / "out"]
    return lambda *arguments: main(["train", "layer-drop", *map(str, places), *arguments])


@pytest.mark.parametrize("words", [["--regression"], ["--task", "text-regression"]])
def test_regression_is_another_spelling_of_its_task(
    words: list[str], tmp_path: Path, make_checkpoint: Make, make_data: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = make_checkpoint("headless"), make_data("train.tsv", 32, task="text-regression")
    places = ["--model", model, "--train", data, "--dev", data, "--out", tmp_path / "out"]
    assert main(["train", "layer-drop", *map(str, places), *words, "--drop", "0", "--epochs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "spearman"


def test_an_unknown_task_is_wrong_usage(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("--task", "translation")
    assert stopped.value.code == 2
    assert "expected a task of text-classification, " in capsys.readouterr().err
