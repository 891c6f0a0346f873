"""Every task: an exported bundle answers as the transformers pipeline of its checkpoint does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from transformers import BertForSequenceClassification, BertTokenizer, TextClassificationPipeline

import edgebert
from edgebert.engines.session import open_session
from edgebert.errors import ExportError
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.heads import HEADS
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Text, Tokenizer, pad
from edgebert.tasks.task import Answer
from edgebert.tasks.tasks import TASKS, task_in
from profiles import way

Make = Callable[..., Path]
Alter = Callable[..., Path]

CONFIGS: list[dict[str, Any]] = [
    {"num_labels": 1},
    {"num_labels": 2},
    {"num_labels": 3, "problem_type": "single_label_classification"},
    {"num_labels": 3, "problem_type": "multi_label_classification"},
    {"num_labels": 1, "problem_type": "regression"},
]
TEXTS: list[Text] = ["the good film", "bad!", "warm plot " * 100, ("good", "bad")]


def pipeline_of(path: Path) -> TextClassificationPipeline:
    model = BertForSequenceClassification.from_pretrained(path)
    return TextClassificationPipeline(model=model, tokenizer=BertTokenizer.from_pretrained(path))


def expected(path: Path, text: Text, **options: Any) -> Answer:
    """Return what the pipeline answers to a text or pair: an answer, or with top_k a list of them."""
    given = text if isinstance(text, str) else {"text": text[0], "text_pair": text[1]}
    found = pipeline_of(path)(given, truncation=True, max_length=64, **options)
    wants_list = "top_k" in options
    while isinstance(found, list) and (not wants_list or isinstance(found[0], list)):
        (found,) = found
    return found


def all_answers(bundle: Bundle, text: Text) -> Answer:
    (subnet,) = bundle.manifest.subnetworks
    session = open_session(bundle, subnet, way())
    task, row = task_in(bundle.manifest), Tokenizer.of(bundle).encode(text)
    asked = task.options({"top_k": None})
    results = task.results(session.run(pad([row], session.input_names)), [row], asked)
    (found,) = task.answers(results, asked)
    return found


def scores(answers: Any) -> Any:
    return pytest.approx([answer["score"] for answer in answers], abs=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_answers_are_those_of_the_transformers_pipeline(
    make_checkpoint: Make, tmp_path: Path, config: dict[str, Any]
) -> None:
    path = make_checkpoint(**config)
    bundle = export(path, tmp_path / "bundle", precisions=["fp32"])
    with edgebert.load(bundle) as model:
        found = model(TEXTS)
        assert model(TEXTS[0]) == [found[0]]
    for text, answer in zip(TEXTS, found, strict=True):
        best = expected(path, text)
        assert list(answer) == list(best) == ["label", "score"]
        assert answer["label"] == best["label"]
        assert answer["score"] == pytest.approx(best["score"], abs=1e-5)

        ours, theirs = all_answers(bundle, text), expected(path, text, top_k=None)
        assert [one["label"] for one in ours] == [one["label"] for one in theirs]
        assert [one["score"] for one in ours] == scores(theirs)


def test_every_task_has_a_head() -> None:
    assert [head.task for head in HEADS] == list(TASKS)


def test_graphs_name_the_outputs_of_the_task(exported: Bundle) -> None:
    for subnet in exported.manifest.subnetworks:
        for graph in subnet.graphs.values():
            outputs = onnx.load(exported.path / graph.file, load_external_data=False).graph.output
            found = {
                one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in outputs
            }
            assert found == {"logits": ["batch", 3]}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"num_labels": 1}, "text-classification"),
        ({"num_labels": 3}, "text-classification"),
        ({"num_labels": 3, "problem_type": "single_label_classification"}, "text-classification"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "multi-label-text-classification"),
        ({"num_labels": 1, "problem_type": "regression"}, "text-regression"),
    ],
)
def test_the_task_is_the_configs(make_checkpoint: Make, config: dict[str, Any], name: str) -> None:
    assert name == read_checkpoint(make_checkpoint(**config)).task.NAME


def test_a_task_by_name_goes_before_the_configs(make_checkpoint: Make, tmp_path: Path) -> None:
    """A cross-encoder: one label and no problem_type, whose logit is what its users want."""
    path = make_checkpoint(num_labels=1)
    bundle = export(path, tmp_path / "bundle", task="text-regression", precisions=["fp32"])
    assert bundle.manifest.task == "text-regression"
    with edgebert.load(bundle) as model:
        (answer,) = model(("good", "bad"))
    logit = pipeline_of(path)({"text": "good", "text_pair": "bad"}, function_to_apply="none")
    assert answer["score"] == pytest.approx((logit[0] if isinstance(logit, list) else logit)["score"], abs=1e-5)


def test_a_task_that_does_not_fit_is_refused(make_checkpoint: Make) -> None:
    path = make_checkpoint(num_labels=3)
    assert read_checkpoint(path, task="multi-label-text-classification").task.labels == (
        "LABEL_0",
        "LABEL_1",
        "LABEL_2",
    )
    with pytest.raises(ExportError, match=r"expected at most 1 label\(s\) for text-regression, found 3"):
        read_checkpoint(path, task="text-regression")
    message = "no task 'translation' for this checkpoint; choose one of text-classification, multi-label-text-class"
    with pytest.raises(ExportError, match=message):
        read_checkpoint(path, task="translation")


def test_numbers_of_several_labels_stay_a_regression_by_name(make_checkpoint: Make) -> None:
    path = make_checkpoint(num_labels=3, problem_type="regression")
    for name in (None, "text-regression"):
        assert read_checkpoint(path, task=name).task.NAME == "text-regression"


def test_scores_of_one_text_do_not_depend_on_its_batch(exported: Bundle) -> None:
    session = open_session(exported, exported.subnet("w1.00-d1.00-fp32"), way())
    encode = Tokenizer.of(exported).encode
    together = session.run(pad([encode(text) for text in TEXTS[:2]], session.input_names))["logits"]
    for row, text in zip(together, TEXTS, strict=False):
        alone = session.run(pad([encode(text)], session.input_names))["logits"]
        np.testing.assert_allclose(alone[0], row, atol=1e-5)
