import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.elastic.checkpoint import load_tokenizer, read_model_config
from edgebert.elastic.training_data import (
    TaskChoice,
    TrainingData,
    TrainingFiles,
    checked_length,
    read_training_data,
)
from edgebert.errors import EdgeBertError, TrainingError
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression

Make = Callable[..., Path]
Read = Callable[..., TrainingData]


@pytest.fixture
def read(make_checkpoint: Make, make_data: Make, tmp_path: Path) -> Read:
    """Read toy data for a checkpoint, whose configuration may be altered."""

    def read(
        kind: str = "headless",
        choice: TaskChoice | None = None,
        config: dict[str, Any] | None = None,
        max_length: int = 32,
        **rows: Any,
    ) -> TrainingData:
        model = make_checkpoint(kind)
        (model / "config.json").write_text(
            json.dumps({**json.loads((model / "config.json").read_text()), **(config or {})})
        )
        files = TrainingFiles(model, make_data("train.tsv", 16, **rows), make_data("dev.tsv", 8, **rows), tmp_path)
        found, tokenizer = read_model_config(model), load_tokenizer(model)
        return read_training_data(files, found, tokenizer, choice or TaskChoice(), max_length)

    return read


def test_without_a_word_it_is_a_classification_with_the_labels_of_the_data(read: Read) -> None:
    data = read()
    assert data.task == TextClassification(("negative", "positive"))
    assert data.train.targets == [0, 1] * 8
    assert (len(data.distil), data.distil.targets) == (16, None)


@pytest.mark.parametrize(
    ("task", "first"),
    [
        (TextRegression(("score",)), -1.5),
        (MultiLabelTextClassification(("bad", "good", "worth seeing")), [1.0, 0.0, 0.0]),
    ],
)
def test_a_task_that_is_named_reads_its_targets(read: Read, task: Any, first: Any) -> None:
    data = read(choice=TaskChoice(task.NAME), task=task.NAME)
    assert data.task == task
    assert data.train.targets is not None
    assert data.train.targets[0] == first


def test_a_fine_tuned_checkpoint_keeps_its_task_and_its_labels_may_be_renamed(read: Read) -> None:
    names = {"id2label": {"0": "negative", "1": "positive"}}
    assert read("bert", config=names).task == TextClassification(("negative", "positive"))
    assert read("bert", TaskChoice(labels=("negative", "positive"))).task.labels == ("negative", "positive")
    several = {"problem_type": "multi_label_classification", "id2label": {"0": "bad", "1": "good", "2": "worth seeing"}}
    kept = read("bert", config=several, task=MultiLabelTextClassification.NAME)
    assert kept.task == MultiLabelTextClassification(("bad", "good", "worth seeing"))


def test_what_a_checkpoint_is_fine_tuned_for_is_not_changed(read: Read) -> None:
    advice = "use --task text-classification, or start from another checkpoint"
    with pytest.raises(
        TrainingError, match=f"is fine-tuned for text-classification, not for text-regression; {advice}"
    ):
        read("bert", TaskChoice(TextRegression.NAME))
    with pytest.raises(TrainingError, match="has 2 labels, --labels names 3; name them all"):
        read("bert", TaskChoice(labels=("a", "b", "c")))


def test_every_label_occurs_in_the_training_rows(read: Read) -> None:
    labels = ("bad", "good", "never", "worth seeing")
    with pytest.raises(TrainingError, match=r"train.tsv: expected rows of every label, found none with 'never'; add"):
        read(choice=TaskChoice(MultiLabelTextClassification.NAME, labels), task=MultiLabelTextClassification.NAME)
    with pytest.raises(EdgeBertError, match=r"train.tsv:3: expected labels of bad \(or their numbers\), found 'good'"):
        read(choice=TaskChoice(MultiLabelTextClassification.NAME, ("bad",)), task=MultiLabelTextClassification.NAME)


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        (None, "", "expected one label, found none; give the column 'label'"),
        (None, "nan", "expected a label, found 'nan', which stands for none; leave"),
        (None, "-", "expected a label, found '-', which stands for none; leave"),
        (None, "0.5", "expected names of labels, found 0.5; use --regression"),
        (TextRegression.NAME, "nan", "expected a number as the label, found 'nan'; write"),
        (TextRegression.NAME, "", "expected a number as the label, found none; write"),
        (MultiLabelTextClassification.NAME, "good,nan", "expected a label, found 'nan', which stands for none"),
        (MultiLabelTextClassification.NAME, "0,1,0", "expected names of labels, found a 0 or a 1 for each"),
    ],
)
def test_no_row_is_learnt_from_whose_label_is_none(
    make_checkpoint: Make, tmp_path: Path, task: str | None, label: str, message: str
) -> None:
    model, data = make_checkpoint("headless"), tmp_path / "train.tsv"
    data.write_text(f"text\tlabel\na\t1\nb\t2\nc\t{label}\n")
    files = TrainingFiles(model, data, data, tmp_path)
    with pytest.raises(EdgeBertError, match=re.escape(f"train.tsv:4: {message}")):
        read_training_data(files, read_model_config(model), load_tokenizer(model), TaskChoice(task), 32)


def test_what_is_left_of_a_text_must_be_more_than_its_special_tokens(read: Read) -> None:
    with pytest.raises(TrainingError, match="expected a maximum length above the 2 tokens around every text, found 2"):
        read(max_length=2)


@pytest.mark.parametrize(
    ("kind", "longest"), [("bert", 40), ("roberta", 38), ("distilbert", 40), ("xlnet-headless", 128)]
)
def test_texts_are_cut_at_what_the_checkpoint_has_positions_for(make_checkpoint: Make, kind: str, longest: int) -> None:
    config = read_model_config(make_checkpoint(kind))
    assert checked_length(config, None) == longest
    assert checked_length(config, 20) == 20
    if config.positions:
        with pytest.raises(TrainingError, match=f"expected a maximum length of at most {longest} tokens, found 4000"):
            checked_length(config, 4000)
