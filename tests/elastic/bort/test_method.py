import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import byte_pairs, random_model
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel

from edgebert.cli.main import main
from edgebert.elastic.bort.architecture import Architecture, Space
from edgebert.elastic.bort.architecture_search import (
    Approximation,
    Measurements,
    SearchResult,
    SearchSettings,
    SurrogateSettings,
)
from edgebert.elastic.bort.extraction import Goal
from edgebert.elastic.bort.method import (
    BortSettings,
    MaskedTeacher,
    MeasureLatencies,
    distillation,
    masked_lm_distillation,
    train,
)
from edgebert.elastic.bort.student import StudentBuilder, TeacherEmbeddings
from edgebert.elastic.bort.surrogate import TRIALS, SurrogateTrial
from edgebert.elastic.checkpoint import load_tokenizer
from edgebert.elastic.layer_drop import method as layer_drop
from edgebert.elastic.layer_drop.method import LayerDropSettings
from edgebert.elastic.model_config import config_of
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.texts import tokenise
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions
from edgebert.elastic_manifest import ElasticManifest
from edgebert.engines.session import open_session
from edgebert.errors import BudgetError, TrainingError
from edgebert.exporters import reference
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint import parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.inputs.tokenization import Tokenizer as DeviceTokenizer
from edgebert.journal import Journal
from edgebert.slices import dynabert_subnet
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification
from profiles import way

Make = Callable[..., Path]
SPACE = Space(depths=(1, 2), heads=(2,), hidden=(16, 32), ffn=(16, 32))
SURROGATE = SurrogateSettings(steps=3, batch_size=8, length=12, dev_texts=20)
SEARCH = SearchSettings(
    "toy", SPACE, approximation=Approximation(measured=6, held_out=2, interval=3), surrogate=SURROGATE
)
ONE = Architecture(2, 2, 32, 48)


def measured(some: Sequence[Architecture], _: Path) -> Measurements:
    return Measurements({one: one.depth * (1 + one.hidden / 16 + one.ffn / 32) for one in some}, "a toy")


@pytest.fixture
def run(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Callable[..., Any]:
    def run(
        kind: str = "headless",
        name: str = "out",
        measure: MeasureLatencies = measured,
        transfer: tuple[Path, ...] = (),
        task: TaskChoice | None = None,
        **settings: Any,
    ) -> Any:
        model = tmp_path / "checkpoint" if (tmp_path / "checkpoint").exists() else make_checkpoint(kind)
        rows = {"task": task.name} if task and task.name else {}
        data = make_data("train.tsv", 128, **rows), make_data("dev.tsv", 40, **rows)
        settings = {"distil": distillation(12, 1e-2), "fine_tune": fine_tuning(6, 5e-3), **settings}
        options = RunOptions(task or TaskChoice(), compute="fp32", batch_size=16)
        return train(TrainingFiles(model, *data, tmp_path / name, transfer), BortSettings(**settings), options, measure)

    return run


def test_a_search_finds_trains_and_says_what_it_did(run: Callable[..., Any], tmp_path: Path) -> None:
    found, trained = run(architecture=SEARCH)
    assert isinstance(found, SearchResult)
    assert ElasticManifest.load(tmp_path / "out") == trained.manifest
    assert trained.manifest.method == "bort"
    assert [one.id for one in trained.manifest.subnetworks] == [found.chosen]
    assert trained.scores[0].score > 0.8  # chance is 0.5
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    (row,) = (row for row in found.rows if row.id == found.chosen)
    assert sum(parameter.numel() for parameter in plain.parameters()) == row.candidate.parameters
    assert row.candidate.trained
    assert len(found.rows) == len(SPACE.architectures())
    journal = Journal[SurrogateTrial](tmp_path / "out.training" / TRIALS, SurrogateTrial, TrainingError)
    assert len(journal.read()) == sum(one.candidate.trained for one in found.rows)


def test_a_search_goes_on_where_it_was_and_is_not_repeated(run: Callable[..., Any], tmp_path: Path) -> None:
    options = {"architecture": SEARCH, "search_only": True}
    found, trained = run(**options)
    assert trained is None
    work = tmp_path / "out.training"
    before = (work / "surrogates.jsonl").read_bytes()
    run(**options, name="out")
    (work / "search.json").unlink()
    # Killed while a second error was being written: the first one is kept, the rest is made again, and comes out equal.
    first, second, *_ = before.splitlines(keepends=True)
    (work / "surrogates.jsonl").write_bytes(first + second[:20])
    again, _ = run(**options)
    after = (work / "surrogates.jsonl").read_bytes()
    assert after.startswith(first)
    assert [row.candidate for row in again.rows] == [row.candidate for row in found.rows]


def test_a_budget_that_nothing_meets_is_refused_before_anything_is_trained(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    search = msgspec.structs.replace(SEARCH, goal=Goal(latency_ms=1.0))
    with pytest.raises(
        BudgetError, match=r"no architecture .* meets 1 ms; the nearest is bort-d1-a2-h16-i16 with 2.50"
    ):
        run(architecture=search)
    assert not (tmp_path / "out.training" / "surrogates.jsonl").exists()
    with pytest.raises(TrainingError, match="holds a training with other method_settings; give another --work"):
        run(architecture=SEARCH)


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_an_architecture_is_trained_without_a_search(kind: str, run: Callable[..., Any], tmp_path: Path) -> None:
    """The student is a BERT, whatever the teacher is; here it learns from labels too."""
    (tmp_path / "more.txt").write_text("a warm film\nthe dull plot\n")
    found, _ = run(
        kind,
        architecture=ONE,
        distil=distillation(6, 1e-2, label_weight=0.5),
        transfer=(tmp_path / "more.txt",),
        task=TaskChoice(labels=("negative", "positive")),
    )
    assert found is None
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    config = plain.config
    assert config.model_type == "bert"
    assert (config.num_hidden_layers, config.num_attention_heads) == (2, 2)
    assert (config.hidden_size, config.intermediate_size) == (32, 48)
    bundle = export(tmp_path / "out", tmp_path / "bundle", precisions=["int8", "fp32"])
    assert [one.id for one in bundle.manifest.subnetworks] == ["bort-d2-a2-h32-i48-int8", "bort-d2-a2-h32-i48-fp32"]
    assert {one.method for one in bundle.manifest.subnetworks} == {"bort"}


def test_a_regression_is_distilled(run: Callable[..., Any]) -> None:
    found, _ = run(architecture=SEARCH, search_only=True, task=TaskChoice(TextRegression.NAME))
    assert all(row.candidate.error > 0 for row in found.rows)


def test_several_labels_for_one_text_are_distilled(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("a warm film\nthe dull plot\n")
    task, distil = TaskChoice(MultiLabelTextClassification.NAME), distillation(12, 1e-2, label_weight=0.5)
    _, trained = run(architecture=ONE, distil=distil, task=task, transfer=(tmp_path / "more.txt",))
    assert trained.metric == "micro_f1"
    assert trained.scores[0].score > 0.7
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").config
    assert config.problem_type == "multi_label_classification"
    assert config.id2label == {0: "bad", 1: "good", 2: "worth seeing"}


def test_tags_are_distilled_and_exported(run: Callable[..., Any], tmp_path: Path) -> None:
    distil = distillation(2, 1e-2)
    _, trained = run(architecture=ONE, distil=distil, task=TaskChoice(TokenClassification.NAME))
    assert trained.metric == "span_f1"
    bundle = export(tmp_path / "out", tmp_path / "bundle", precisions=["fp32"])
    assert bundle.manifest.task == TokenClassification.NAME


def test_students_start_with_what_the_teacher_knows_of_words(make_checkpoint: Make) -> None:
    teacher = random_model("roberta")
    tables = TeacherEmbeddings.of(teacher)
    texts = tokenise(byte_pairs(), ["good film"], 16)
    builder = StudentBuilder.of(config_of(teacher.config), texts, TextClassification(("a", "b")), seed=1)
    same = builder.student(Architecture(1, 2, 32, 8))
    tables.copy_into(same)
    assert torch.equal(same.bert.embeddings.word_embeddings.weight, tables.words)
    assert torch.equal(
        same.bert.embeddings.position_embeddings.weight, teacher.roberta.embeddings.position_embeddings.weight[2:]
    )
    for hidden in (16, 64):  # turned, so that what is near stays near; exactly so where there is room
        other = builder.student(Architecture(1, 2, hidden, 8))
        tables.copy_into(other)
        theirs, ours = tables.words @ tables.words.T, other.bert.embeddings.word_embeddings.weight
        near = torch.corrcoef(torch.stack([theirs.flatten(), (ours @ ours.T).flatten()]))[0, 1]
        assert near > (0.999 if hidden == 64 else 0.6)


def test_a_masked_language_model_teaches_first(run: Callable[..., Any], tmp_path: Path, make_checkpoint: Make) -> None:
    masked = MaskedTeacher(str(make_checkpoint("bert-lm", "masked")), masked_lm_distillation(2, 5e-3))
    _, trained = run(architecture=ONE, masked=masked, distil=distillation(1))
    assert trained.manifest.subnetworks[0].id == "bort-d2-a2-h32-i48"
    events = [json.loads(line) for line in (tmp_path / "out.training" / "masked-lm.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert steps[-1]["losses"]["logits"] < steps[0]["losses"]["logits"]
    assert steps[0]["losses"]["labels"] > 0
    student = load_file(tmp_path / "out.training" / "masked-lm" / "model.safetensors")
    assert "cls.predictions.bias" in student


def test_a_masked_language_model_with_other_words_is_refused(run: Callable[..., Any], make_checkpoint: Make) -> None:
    masked = MaskedTeacher(str(make_checkpoint("roberta-lm", "masked")), masked_lm_distillation(1))
    with pytest.raises(TrainingError, match="expected a masked LM with the same vocabulary, found another"):
        run(architecture=ONE, masked=masked)
    headless = MaskedTeacher(str(make_checkpoint("headless", "masked")), masked_lm_distillation(1))
    with pytest.raises(TrainingError, match=r"has no masked-LM head \(cls\.\*\); give a pre-trained checkpoint"):
        run(architecture=ONE, masked=headless, name="other")


def released(folder: Path, *, types: bool, binary: bool) -> Path:
    """Write a checkpoint as Bort's was released: half precision, RoBERTa's tokenizer, one token type or none."""
    vocabulary = json.loads(byte_pairs().backend_tokenizer.to_str())["model"]
    sizes = {"num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 32, "num_attention_heads": 2}
    other = {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    torch.manual_seed(7)
    positions = {"max_position_embeddings": 40, "vocab_size": len(vocabulary["vocab"])}
    model = BertModel(BertConfig(**sizes, **other, **positions))
    torch.nn.init.zeros_(model.embeddings.token_type_embeddings.weight)
    state = {f"bert.{name}": tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    config = {**model.config.to_dict(), "architectures": ["BertForMaskedLM"], "dtype": "float16"}
    if not types:
        del state["bert.embeddings.token_type_embeddings.weight"]
        config["type_vocab_size"] = 0
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text(json.dumps(vocabulary["vocab"]))
    merges = [" ".join(pair) for pair in vocabulary["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{pair}\n" for pair in merges))
    if binary:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("types", "binary"), [(True, False), (False, True)])
def test_a_released_bort_is_fine_tuned_and_exported(types: bool, binary: bool, tmp_path: Path, make_data: Make) -> None:
    checkpoint = released(tmp_path / "bort", types=types, binary=binary)
    data = make_data("train.tsv", 64), make_data("dev.tsv", 20)
    files, settings = (
        TrainingFiles(checkpoint, *data, tmp_path / "out"),
        LayerDropSettings("top", 0, fine_tuning(2, 1e-3)),
    )
    layer_drop.train(files, settings, RunOptions(compute="fp32"))
    bundle = export(tmp_path / "out", tmp_path / "bundle", precisions=["fp32", "int8"])
    assert bundle.manifest.inputs == ("input_ids", "attention_mask")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    texts = ["a good warm film", "the dull plot of the story"]
    batch = load_tokenizer(tmp_path / "out")(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.numpy()
    inputs = {name: batch[name].numpy() for name in bundle.manifest.inputs}
    for subnet, allowed in zip(bundle.manifest.subnetworks, (1e-4, 0.2), strict=True):
        found = open_session(bundle, subnet, way()).run(inputs)["logits"]
        assert np.abs(found - expected).max() < allowed
        encode = DeviceTokenizer.of(bundle).encode
        assert [list(encode(text).ids) for text in texts] == [
            load_tokenizer(tmp_path / "out")(t)["input_ids"] for t in texts
        ]


def test_the_exporter_reads_a_checkpoint_without_types(tmp_path: Path, make_data: Make) -> None:
    config = random_model("bert", type_vocab_size=1).config
    model = random_model("bert", type_vocab_size=1)
    torch.nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)
    for name, count in (("one", 1), ("none", None)):
        state = {key: tensor.half().contiguous() for key, tensor in model.state_dict().items()}
        values = config.to_dict()
        if count is None:
            del state["bert.embeddings.token_type_embeddings.weight"], values["type_vocab_size"]
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({**values, "architectures": ["BertForSequenceClassification"]})
        )
        save_file(state, tmp_path / name / "model.safetensors")
    one, none = (read_checkpoint(tmp_path / name) for name in ("one", "none"))
    assert (one.token_types, none.token_types) == (False, False)
    assert "type" not in none.tensors
    subnet = dynabert_subnet(Fraction(1), Fraction(1), "fp32", layers=4, heads=4, ffn=64)
    assert parameters_of(subnet, one) - parameters_of(subnet, none) == 32
    inputs = {"input_ids": np.array([[2, 7, 9, 3]]), "attention_mask": np.ones((1, 4), np.int64)}
    assert np.array_equal(*(reference.outputs(subnet, each, each.tensors, inputs)["logits"] for each in (one, none)))


def test_the_command_measures_trains_and_exports(
    tmp_path: Path, make_checkpoint: Make, make_data: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search with the real exporter and profiler, in a space of two."""
    checkpoint, out = make_checkpoint("bert"), tmp_path / "out"
    files = ["--model", checkpoint, "--train", make_data("train.tsv", 64), "--dev", make_data("dev.tsv", 20)]
    files += ["--labels", "negative,positive"]
    space = ["--depths", "1,2", "--heads", "2", "--hidden", "16", "--ffn", "16"]
    quick = [
        "--rounds",
        "1",
        "--length",
        "12",
        "--threads",
        "1",
        "--surrogate-steps",
        "2",
        "--epochs",
        "1",
        "--compute",
        "fp32",
    ]
    command = [
        "train",
        "bort",
        *map(str, files),
        "--out",
        str(out),
        *space,
        *quick,
        "--measured",
        "3",
        "--held-out",
        "1",
    ]
    assert main([*command, "--search-only", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["candidate"]["measured"] for row in found["rows"]] == [True] * 2
    assert "cpu, fused, 1 thread; int8, 12 tokens, median; the fastest of 1 rounds" in found["measured_on"]
    latencies = (tmp_path / "out.training" / "latencies.json").read_bytes()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "the Pareto front of latency, parameters and error" in printed
    assert f"{found['chosen']}-fp32" in printed
    assert (tmp_path / "out.training" / "latencies.json").read_bytes() == latencies
    bundle = export(out, tmp_path / "bundle")
    assert [one.id for one in bundle.manifest.subnetworks] == [f"{found['chosen']}-int8"]
    # What was measured is of use to another search, with a budget that nothing meets: its exit status says so.
    kept = ["--latencies", str(tmp_path / "out.training" / "latencies.json"), "--latency-ms", "0.0001"]
    other = [word.replace(str(out), str(tmp_path / "other")) for word in command]
    assert main([*other, *kept]) == 3
    assert "no architecture of the space meets 0.0001 ms; the nearest is bort-d" in capsys.readouterr().err
    assert main([*other, *kept[:2], "--length", "13", "--work", str(tmp_path / "third")]) == 1
    assert "was measured under other conditions" in capsys.readouterr().err
