"""Rerankers: pairs with one logit are scored and put in order as sentence-transformers' CrossEncoder does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import random_bert, save
from sentence_transformers import CrossEncoder

import edgebert
from edgebert.errors import EdgeBertError, ExportError
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint_reader import read_checkpoint

QUERY = "good film?"
PASSAGES = ["a warm film", "the plot was bad", "film, film", "good", "z 9 # bad plot " * 9]
Alter = Callable[..., Path]


def saved(folder: Path, activation: torch.nn.Module | None, *, is_new: bool = True) -> Path:
    """Save a random cross-encoder: with sentence-transformers' own files, or with its keys in config.json."""
    path = save(random_bert(num_labels=1), folder / "checkpoint")
    if activation is None:
        return path
    if is_new:
        CrossEncoder(str(path), activation_fn=activation).save_pretrained(str(folder / "saved"))
        return folder / "saved"
    config = json.loads((path / "config.json").read_text())
    name = f"{type(activation).__module__}.{type(activation).__qualname__}"
    (path / "config.json").write_text(json.dumps({**config, "sbert_ce_default_activation_function": name}))
    return path


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    ("activation", "task"),
    [
        (torch.nn.Sigmoid(), "text-classification"),
        (torch.nn.Identity(), "text-regression"),
        (None, "text-classification"),
    ],
)
def test_scores_are_those_of_the_cross_encoder(
    tmp_path: Path, activation: torch.nn.Module | None, task: str, is_new: bool
) -> None:
    path = saved(tmp_path, activation, is_new=is_new)
    bundle = export(path, tmp_path / "bundle", precisions=["fp32"])
    assert bundle.manifest.task == task
    pairs = [(QUERY, passage) for passage in PASSAGES]
    expected = CrossEncoder(str(path)).predict(pairs)
    with edgebert.load(bundle) as model:
        found = [answer["score"] for answer in model(pairs)]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)

    ranked = CrossEncoder(str(path)).rank(QUERY, PASSAGES)
    assert sorted(range(len(found)), key=lambda place: -found[place]) == [one["corpus_id"] for one in ranked]


def test_an_activation_of_config_json_is_read(tmp_path: Path) -> None:
    path = save(random_bert(num_labels=1), tmp_path / "checkpoint")
    config = json.loads((path / "config.json").read_text())
    told = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"}}
    (path / "config.json").write_text(json.dumps({**config, **told}))
    assert read_checkpoint(path).task.NAME == "text-regression"
    assert read_checkpoint(path, task="text-classification").task.NAME == "text-classification"
    pairs = [(QUERY, passage) for passage in PASSAGES]
    bundle = export(path, tmp_path / "bundle", precisions=["fp32"])
    with edgebert.load(bundle) as model:
        found = [answer["score"] for answer in model(pairs)]
    assert found == pytest.approx(CrossEncoder(str(path)).predict(pairs).tolist(), abs=1e-5)


def test_what_is_not_supported_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, torch.nn.Tanh())
    with pytest.raises(ExportError, match="expected Sigmoid or Identity as the activation of its scores, found 'torch"):
        read_checkpoint(path)
    settings = json.loads((path / "config_sentence_transformers.json").read_text())
    settings.update(
        activation_fn="torch.nn.modules.linear.Identity", default_prompt_name="query", prompts={"query": "q: "}
    )
    (path / "config_sentence_transformers.json").write_text(json.dumps(settings))
    with pytest.raises(
        ExportError, match="a default prompt, 'query', is not supported for cross-encoders; save it wit"
    ):
        read_checkpoint(path)


@pytest.mark.parametrize("activation", [torch.nn.Sigmoid(), torch.nn.Identity()])
def test_a_reranker_is_measured_by_how_it_puts_passages_in_order(tmp_path: Path, activation: torch.nn.Module) -> None:
    """Labels may be 0 and 1, or how well a passage suits."""
    path = saved(tmp_path, activation)
    scores = CrossEncoder(str(path)).predict([(QUERY, passage) for passage in PASSAGES])
    order = scores.argsort().argsort().tolist()
    rows: Any = zip(PASSAGES, order, strict=True)
    data = tmp_path / "graded.tsv"
    data.write_text("query\tpassage\tlabel\n" + "".join(f"{QUERY}\t{text}\t{grade}\n" for text, grade in rows))
    bundle = export(path, tmp_path / "bundle", precisions=["fp32"], evaluation_data=data)
    quality = bundle.manifest.subnetworks[0].quality
    assert quality is not None
    assert (quality.metric, quality.value) == ("spearman", pytest.approx(1.0))
    if isinstance(activation, torch.nn.Sigmoid):
        assert quality.also == {"average_precision": 1.0}

    rows = zip(PASSAGES, order, strict=True)
    data.write_text("query\tpassage\tlabel\n" + "".join(f"{QUERY}\t{text}\t{int(grade > 2)}\n" for text, grade in rows))
    (found,) = edgebert.evaluate(data, bundle).subnetworks
    assert 0.8 < found.metrics["spearman"] < 1  # as far as two labels say
    data.write_text("query\tpassage\tlabel\na\tb\tgood\n")
    with pytest.raises(EdgeBertError, match=r"expected a number as the label, found 'good'; write it as 1.5 or 3"):
        edgebert.evaluate(data, bundle)
