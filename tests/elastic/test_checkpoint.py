import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from edgebert.elastic.checkpoint import (
    checkpoint_task,
    load_elastic,
    load_tokenizer,
    load_whole,
    read_model_config,
    save_model,
)
from edgebert.errors import TrainingError
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Task
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression

Make = Callable[..., Path]
SIZES = (4, 4, 32, 64, 8)


@pytest.mark.parametrize(
    "task",
    [
        TextClassification(("bad", "good", "so so")),
        MultiLabelTextClassification(("bad", "good")),
        TextRegression(("score",)),
    ],
    ids=lambda task: task.NAME,
)
def test_a_task_and_its_labels_survive_the_checkpoint(make_checkpoint: Make, tmp_path: Path, task: Task) -> None:
    origin, out = make_checkpoint("headless"), tmp_path / "out"
    assert checkpoint_task(origin) is None
    model = load_elastic(origin, task)
    save_model(model, load_tokenizer(origin), out)
    assert checkpoint_task(out) == task
    config = AutoConfig.from_pretrained(out)
    assert config.num_labels == len(task.labels)
    assert config.id2label == dict(enumerate(task.labels))
    again = load_whole(out, task).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "xlnet-headless"])
def test_sizes_have_the_same_names_in_every_family(make_checkpoint: Make, kind: str) -> None:
    config = read_model_config(make_checkpoint(kind))
    assert (config.layers, config.heads, config.hidden, config.ffn, config.head_size) == SIZES


def test_one_label_without_a_problem_type_is_a_regression_as_transformers_trains_it(make_checkpoint: Make) -> None:
    assert checkpoint_task(make_checkpoint("bert", num_labels=1)) == TextRegression(("LABEL_0",))


def test_a_checkpoint_of_another_kind_is_refused(make_checkpoint: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot read .*none/config.json: give the folder of a Hugging Face model"):
        read_model_config(tmp_path / "none")
    path = make_checkpoint("bert")
    (path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(
        TrainingError, match=r"model_type 'gpt2' is not supported; expected one of bert, roberta, .* xlnet"
    ):
        read_model_config(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"is_decoder": True}, "is_decoder true is not supported"),
        ({"hidden_act": "prelu"}, "hidden_act 'prelu' is not supported"),
        ({"per_layer_config": {"0": {"intermediate_size": 8}}}, "per_layer_config .* is not supported"),
        ({"num_hidden_layers": 10**9}, "expected a whole number above 0 for num_hidden_layers"),
        ({"id2label": ["a", "b"]}, "cannot read the checkpoint .*: "),
        ({"use_cache": "no"}, "cannot read the checkpoint .*: "),
    ],
)
def test_what_training_would_compute_wrongly_is_refused(
    make_checkpoint: Make, values: dict[str, object], message: str
) -> None:
    path = make_checkpoint("bert")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **values}))
    with pytest.raises(TrainingError, match=message):
        read_model_config(path)


@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.bias", "classifier.weight"])
def test_a_model_whose_tensors_are_missing_is_refused(make_checkpoint: Make, name: str) -> None:
    path = make_checkpoint("bert")
    state = load_file(path / "model.safetensors")
    state.pop(name)
    save_file(state, path / "model.safetensors")
    with pytest.raises(TrainingError, match=f"tensor {name} is missing; download the checkpoint again, with"):
        load_whole(path, TextClassification(("a", "b")))


def test_weights_are_trained_as_they_are_stored(make_checkpoint: Make) -> None:
    path = make_checkpoint("bert")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    found = load_whole(path, TextClassification(("a", "b"))).network.state_dict()
    for name, tensor in load_file(path / "model.safetensors").items():
        assert torch.equal(found[name], tensor), name


def test_a_model_is_not_written_over_something_else(make_checkpoint: Make, tmp_path: Path) -> None:
    path = make_checkpoint("bert")
    (tmp_path / "notes").write_text("mine")
    model = load_whole(path, TextClassification(("a", "b")))
    with pytest.raises(TrainingError, match="notes exists and is no checkpoint; choose another --out or remove it"):
        save_model(model, load_tokenizer(path), tmp_path / "notes")


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(
    make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut short
    path = make_checkpoint("bert")
    model, tokenizer = load_whole(path, TextClassification(("a", "b"))), load_tokenizer(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files of more bytes cannot be written, which Python and safetensors see as they see a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(TrainingError, match=r"cannot write .*out: .*; choose another place or make room"):
            save_model(model, tokenizer, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
