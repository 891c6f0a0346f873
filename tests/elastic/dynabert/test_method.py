import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import ELASTIC_FAMILIES, random_model

from edgebert.cli.main import main
from edgebert.elastic.checkpoint import checkpoint_task, load_elastic, load_tokenizer
from edgebert.elastic.dynabert.method import DynaBertSettings, stage_subnets, train
from edgebert.elastic.model_config import config_of
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.texts import tokenise
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult
from edgebert.elastic_manifest import ElasticManifest
from edgebert.engines.session import open_session
from edgebert.errors import EdgeBertError, TrainingError
from edgebert.exporters.build import export
from edgebert.inputs.tokenization import Tokenizer as DeviceTokenizer
from edgebert.inputs.tokenization import pad
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from profiles import way

Make = Callable[..., Path]
PARTED = ("whole", "parts", "devices")


CLASSES = TextClassification(("negative", "positive"))


@dataclasses.dataclass
class Toy:
    """A training of toy size: its files, and how to run it."""

    model: Path
    train: Path
    dev: Path
    out: Path

    def run(
        self, settings: DynaBertSettings | None = None, transfer: Sequence[Path] = (), **options: Any
    ) -> TrainingResult:
        """Train in fp32 with a learning rate that suits random models."""
        files = TrainingFiles(self.model, self.train, self.dev, self.out, tuple(transfer))
        return train(files, settings or toy_settings(), RunOptions(**{"compute": "fp32", **options}))


def toy_settings(**options: Any) -> DynaBertSettings:
    quick = {"epochs": 2, "learning_rate": 2e-3, "widths": (0.5, 1.0), "fine_tune": fine_tuning(6, 5e-3)}
    return DynaBertSettings(**{**quick, **options})


def scores_of(trained: TrainingResult) -> list[float]:
    return [one.score for one in trained.scores]


@pytest.fixture
def make_toy(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Callable[..., Toy]:
    def make(kind: str = "headless", **options: Any) -> Toy:
        return Toy(
            make_checkpoint(kind),
            make_data("train.tsv", 160, **options),
            make_data("dev.tsv", 40, **options),
            tmp_path / "out",
        )

    return make


@pytest.fixture
def toy(make_toy: Callable[..., Toy]) -> Toy:
    return make_toy()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same(first: Path, second: Path) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["direct", "paper"])
def test_a_headless_checkpoint_becomes_elastic(toy: Toy, recipe: str) -> None:
    trained = toy.run(toy_settings(recipe=recipe))
    assert ElasticManifest.load(toy.out) == trained.manifest
    assert trained.manifest.widths == (0.5, 1.0)
    assert checkpoint_task(toy.out) == CLASSES
    assert len(trained.scores) == 6
    assert min(scores_of(trained)) > 0.8  # chance is 0.5; the task is learnt
    # The paper's layers are evenly spread; ours are those that matter most.
    assert bool(trained.manifest.layer_order) == (recipe == "direct")


def test_a_fine_tuned_checkpoint_is_only_distilled(toy: Toy, tmp_path: Path) -> None:
    toy.run(work=tmp_path / "first")
    again = dataclasses.replace(toy, model=toy.out, out=tmp_path / "again")
    again.run(work=tmp_path / "second")
    assert not (tmp_path / "second" / "fine-tuned").exists()


def test_a_finished_training_is_not_repeated(toy: Toy) -> None:
    toy.run()
    times = [path.stat().st_mtime_ns for path in sorted(toy.out.with_name("out.training").rglob("*.safetensors"))]
    toy.run()
    assert times == [
        path.stat().st_mtime_ns for path in sorted(toy.out.with_name("out.training").rglob("*.safetensors"))
    ]


# XLM-RoBERTa and CamemBERT are RoBERTa's family.
@pytest.mark.parametrize("family", [one for one in ELASTIC_FAMILIES if one not in ("xlm-roberta", "camembert")])
def test_every_family_becomes_elastic_and_answers_on_the_device_as_in_torch(
    make_toy: Callable[..., Toy], family: str, tmp_path: Path
) -> None:
    toy = make_toy(family)
    relabel(toy, {"negative": "LABEL_0", "positive": "1"})
    toy.run(toy_settings(epochs=1, depths=(0.5, 1.0), fine_tune=fine_tuning(1, 5e-3)))
    model = load_elastic(toy.out, TextClassification(("LABEL_0", "LABEL_1"))).eval()
    tokenizer, texts = load_tokenizer(toy.out), ["a good warm film", "dull", "the bad plot is poor"]
    batch = tokenise(tokenizer, texts, 32).batch(range(3), torch.device("cpu"))

    bundle = export(toy.out, tmp_path / "bundle", precisions=["fp32"], max_length=32)
    assert len(bundle.manifest.subnetworks) == 4
    encoded = DeviceTokenizer.of(bundle).encode_all(texts)
    elastic = ElasticManifest.load(toy.out)
    assert elastic is not None
    for exported in bundle.manifest.subnetworks:
        assert exported.width is not None
        assert exported.depth is not None
        with torch.no_grad():
            subnet = model.config.subnet(exported.width, exported.depth, elastic.layer_order)
            assert subnet.layers == exported.layers
            expected = model(batch.ids, batch.mask, subnet, batch.types).logits
        session = open_session(bundle, exported, way())
        found = [session.run(pad([tokens], session.input_names))["logits"] for tokens in encoded]
        np.testing.assert_allclose(np.concatenate(found), expected.numpy(), atol=1e-4)


def relabel(toy: Toy, names: dict[str, str]) -> None:
    for path in (toy.train, toy.dev):
        content = path.read_text()
        for old, new in names.items():
            content = content.replace(old, new)
        path.write_text(content)


def test_pairs_are_learnt(make_toy: Callable[..., Toy]) -> None:
    assert min(scores_of(make_toy(pairs=True).run())) > 0.7


def test_a_regression_is_learnt(make_toy: Callable[..., Toy]) -> None:
    trained = make_toy(task=TextRegression.NAME).run(toy_settings(epochs=4), task=TaskChoice(TextRegression.NAME))
    assert (trained.metric, checkpoint_task(trained.checkpoint)) == ("spearman", TextRegression(("score",)))
    assert min(scores_of(trained)) > 0.7
    steps = [json.loads(line) for line in (trained.work / "depth.jsonl").read_text().splitlines()]
    assert all(step["losses"]["logits"] > 0 for step in steps if step["event"] == "step")


def test_the_paper_distils_the_logits_of_classes_alone() -> None:
    settings = DynaBertSettings(recipe="paper")
    for task, weight in ((TextClassification, 1.0), (MultiLabelTextClassification, 1.0), (TextRegression, 0.0)):
        assert {stage.logit_weight for stage in settings.stages_after_rewiring(task)} == {weight}


def test_several_labels_for_one_text_are_learnt(make_toy: Callable[..., Toy], tmp_path: Path) -> None:
    name = MultiLabelTextClassification.NAME
    toy = make_toy(task=name)
    trained = toy.run(task=TaskChoice(name))
    assert trained.metric == "micro_f1"
    assert checkpoint_task(toy.out) == MultiLabelTextClassification(("bad", "good", "worth seeing"))
    assert min(scores_of(trained)) > 0.8
    # The checkpoint says what it was trained for, so that it need not be said again.
    again = dataclasses.replace(toy, model=toy.out, out=tmp_path / "again").run(toy_settings(epochs=1))
    assert again.metric == "micro_f1"


def test_the_full_network_is_the_teacher_when_nothing_is_distilled(toy: Toy) -> None:
    """Rewired and trained with a rate of almost 0, the full network still is the fine-tuned model."""
    toy.run(toy_settings(learning_rate=1e-12, epochs=1))
    work = toy.out.with_name("out.training")
    fine_tuned, elastic = load_elastic(work / "fine-tuned", CLASSES), load_elastic(toy.out, CLASSES)
    ids = torch.randint(5, 30, (3, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = (model.eval()(ids, torch.ones_like(ids), model.subnet()) for model in (fine_tuned, elastic))
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)


def test_more_texts_to_distil_on_are_read(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("the warm film\n" * 32)
    toy.run(transfer=[tmp_path / "more.txt"])
    events = [json.loads(line) for line in (tmp_path / "out.training" / "depth.jsonl").read_text().splitlines()]
    assert max(event["step"] for event in events) == 2 * (160 + 32) / 32


def test_variants_of_the_training_texts_are_distilled_on(toy: Toy, make_checkpoint: Make, tmp_path: Path) -> None:
    toy.run(toy_settings(augment=2, augment_model=str(make_checkpoint("bert-lm", "lm")), epochs=1))
    work = tmp_path / "out.training"
    assert len((work / "augmented.jsonl").read_text().splitlines()) == 160
    assert (work / "depth.jsonl").read_text().count('"event":"step"') == 3 * 160 / 32


def test_another_training_does_not_go_on_in_the_same_folder(toy: Toy) -> None:
    toy.run()
    with pytest.raises(TrainingError, match=r"out.training holds a training with other settings; give another --work"):
        toy.run(seed=2)


# What a user can get wrong: the alteration of the toy, options, and the message.
WRONG: list[tuple[Callable[[Toy], object], dict[str, Any], str]] = [
    (lambda toy: relabel(toy, {"positive": "negative"}), {}, "expected at least two labels to tell apart"),
    (
        lambda toy: None,
        {"task": TaskChoice(labels=("negative", "neutral", "positive"))},
        "found none with 'neutral'; add some",
    ),
    (
        lambda toy: toy.dev.write_text("text\tlabel\nfilm\tneutral\n"),
        {},
        r"dev.tsv:2: expected a label of negative, positive \(or its number\), found label 'neutral'",
    ),
    (
        lambda toy: None,
        {"task": TaskChoice(TextRegression.NAME)},
        r"train.tsv:2: expected a number as the label, found 'negative'",
    ),
    (lambda toy: None, {"task": TaskChoice("translation")}, "expected a task of text-classification, .* 'translation'"),
    (lambda toy: toy.dev.write_text("text\tpair\tlabel\na\tb\t0\n"), {}, "dev.tsv: expected pairs in all data files"),
    (lambda toy: toy.model.joinpath("config.json").unlink(), {}, "give the folder of a Hugging Face model"),
    (lambda toy: toy.model.joinpath("model.safetensors").write_bytes(b"x"), {}, "cannot read the checkpoint"),
    (lambda toy: toy.out.write_text("mine"), {}, "out exists and is no checkpoint"),
    (lambda toy: None, {"max_length": 4000}, "expected a maximum length of at most 40 tokens, found 4000"),
    (lambda toy: None, {"transfer": [Path("none.txt")]}, "cannot read none.txt"),
    (
        lambda toy: None,
        {"settings": toy_settings(augment=2, augment_model="none")},
        "cannot read none/config.json: give the folder",
    ),
    (
        lambda toy: None,
        {"settings": toy_settings(augment=2)},
        r"has no masked-LM head \(cls.*\); name a pre-trained checkpoint",
    ),
    (lambda toy: None, {"settings": toy_settings(learning_rate=1e30)}, "no longer finite at step"),
]


@pytest.mark.parametrize(("alter", "options", "message"), WRONG, ids=range(len(WRONG)))
def test_what_a_user_gets_wrong_is_said_in_one_line(
    toy: Toy, alter: Callable[[Toy], object], options: dict[str, Any], message: str
) -> None:
    alter(toy)
    with pytest.raises(EdgeBertError, match=message) as found:
        toy.run(**options)
    assert "\n" not in str(found.value)
    assert not (toy.out / "config.json").exists()


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(TrainingError, match="no stage 'deep'; choose among width, depth, final"):
        DynaBertSettings(recipe="paper", stages=("deep",)).stages_after_rewiring()


def test_widths_that_keep_the_same_heads_are_one_sub_network() -> None:
    (stage,) = DynaBertSettings(widths=(0.25, 0.26, 1.0), depths=(1.0,)).stages_after_rewiring()
    subnets = stage_subnets(config_of(random_model().config), stage)
    assert [subnet.id for subnet in subnets] == ["w1.00-d1.00-fp32", "w0.25-d1.00-fp32"]


def command_line(toy: Toy, *more: str) -> list[str]:
    files = ["--model", str(toy.model), "--train", str(toy.train), "--dev", str(toy.dev)]
    settings = ["--widths", "0.5,1", "--epochs", "6", "--compute", "fp32", "--learning-rate", "2e-3"]
    return ["train", "dynabert", *files, *settings, "--fine-tune-learning-rate", "5e-3", *more]


def test_after_a_kill_the_same_command_comes_to_the_same_result(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(command_line(toy, "--out", str(whole), "--epochs", "3", "--json")) == 0
    done = json.loads(capsys.readouterr().out)
    command = command_line(toy, "--out", str(killed), "--epochs", "3", "--save-minutes", "0.0001")
    process = subprocess.Popen([sys.executable, "-m", "edgebert", *command], stderr=subprocess.DEVNULL)
    journal = tmp_path / "killed.training" / "depth.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 9):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = journal.read_bytes()

    assert main([*command, "--json"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    # The times of the first steps are still those from before: they were not made again.
    assert journal.read_bytes().startswith(b"".join(before.splitlines(keepends=True)[:9]))
    assert_same(whole, killed)
    assert resumed["subnetworks"] == done["subnetworks"]

    def what_happened(folder: Path) -> list[dict[str, Any]]:
        lines = (folder.with_name(f"{folder.name}.training") / "depth.jsonl").read_text().splitlines()
        return [{**json.loads(line), "seconds": 0} for line in lines]

    assert what_happened(killed) == what_happened(whole)


def test_parts_and_devices_come_to_the_same_result(toy: Toy, tmp_path: Path) -> None:
    """Without dropout a batch has the same gradients in one piece, in parts and on two devices."""
    config = json.loads((toy.model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (toy.model / "config.json").write_text(json.dumps(config))
    commands = {name: command_line(toy, "--out", str(tmp_path / name), "--epochs", "1") for name in PARTED}
    assert main(commands["whole"]) == 0
    assert main([*commands["parts"], "--accumulate", "3"]) == 0
    # `accelerate launch --cpu` starts one process only, whatever it is told; what it starts on GPUs is this.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "edgebert"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *launch, *commands["devices"], "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["subnetworks"]) == 6

    whole = weights(tmp_path / "whole.training" / "fine-tuned")
    for name in ("parts", "devices"):
        for key, tensor in weights(tmp_path / f"{name}.training" / "fine-tuned").items():
            if not key.endswith("key.bias"):  # softmax ignores it: its gradient is noise, which AdamW makes large
                torch.testing.assert_close(tensor, whole[key], atol=5e-4, rtol=0, msg=f"{name}: {key}")
        # Rewiring may put neurons of equal importance in another order, so here the losses are compared.
        assert losses_of(tmp_path / name) == pytest.approx(losses_of(tmp_path / "whole"), rel=0.02)


def losses_of(out: Path) -> list[float]:
    lines = (out.with_name(f"{out.name}.training") / "depth.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [sum(event["losses"].values()) for event in events if event["event"] == "step"]


def test_the_command_line_says_how_the_sub_networks_do(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command_line(toy, "--out", str(toy.out))) == 0
    told = capsys.readouterr()
    assert "next: edgebert export" in told.out
    assert "w0.50" in told.out
    assert "depth: step 30 of 30, 0 min left, mean dev score" in told.err
    assert load_tokenizer(toy.out).pad_token_id == 0
