"""A Predictor takes texts and gives answers in the forms that transformers' pipeline does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_models import random_bert, save
from transformers import BertForSequenceClassification, BertTokenizer, TextClassificationPipeline

import edgebert
from edgebert.exporters.build import export

Make = Callable[..., Path]

PAIR = {"text": "the good film", "text_pair": "bad"}
GIVEN: list[Any] = ["the good film", ["the good film"], ["the good film", "bad!"], PAIR, [PAIR], [PAIR, PAIR]]


@pytest.fixture(scope="module", params=["single_label_classification", "multi_label_classification", "regression"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[edgebert.Predictor, TextClassificationPipeline]]:
    """A Predictor and the pipeline of the same checkpoint, for each task."""
    folder = tmp_path_factory.mktemp("both")
    labels = 1 if request.param == "regression" else 3
    path = save(random_bert(num_labels=labels, problem_type=request.param), folder / "checkpoint")
    model = BertForSequenceClassification.from_pretrained(path)
    pipeline = TextClassificationPipeline(model=model, tokenizer=BertTokenizer.from_pretrained(path))
    with edgebert.load(export(path, folder / "bundle", precisions=["fp32"])) as predictor:
        yield predictor, pipeline


@pytest.mark.filterwarnings("ignore:.*pipelines sequentially on GPU")
@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("options", [{}, {"top_k": None}, {"top_k": 1}, {"top_k": 2}], ids=str)
def test_calls_have_the_pipelines_forms(
    both: tuple[edgebert.Predictor, TextClassificationPipeline], given: Any, options: dict[str, Any]
) -> None:
    ours, theirs = (answer(given, **options) for answer in both)
    assert without_scores(ours) == without_scores(theirs)
    assert scores_in(ours) == pytest.approx(scores_in(theirs), abs=1e-5)


def without_scores(answer: Any) -> Any:
    """Return the same lists and labels with no scores."""
    return [without_scores(one) for one in answer] if isinstance(answer, list) else {**answer, "score": None}


def scores_in(answer: Any) -> list[float]:
    return [score for one in answer for score in scores_in(one)] if isinstance(answer, list) else [answer["score"]]
