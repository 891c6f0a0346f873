import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import random_model

from edgebert.elastic.data import Texts
from edgebert.elastic.model import ElasticModel
from edgebert.elastic.scoring import accuracy, pearson, score

CPU = torch.device("cpu")


def test_accuracy_is_the_share_of_agreement() -> None:
    assert accuracy([0, 1, 2, 1], [0, 1, 1, 1]) == 0.75


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=20, unique=True), st.floats(0.1, 9), st.floats(-9, 9))
def test_correlation_does_not_depend_on_scale_and_shift(wanted: list[float], scale: float, shift: float) -> None:
    if max(wanted) - min(wanted) > 1e-3:
        assert pearson([value * scale + shift for value in wanted], wanted) == pytest.approx(1)
        assert pearson([shift - value * scale for value in wanted], wanted) == pytest.approx(-1)


def test_a_constant_prediction_has_no_correlation() -> None:
    assert pearson([1, 1, 1], [1, 2, 3]) == 0


def test_a_score_does_not_depend_on_the_batches(model: ElasticModel) -> None:
    ids = [[5 + number % 20] * (number % 7 + 2) for number in range(40)]
    texts = Texts(ids=ids, types=None, labels=[number % 3 for number in range(40)], pad_id=model.config.pad_token_id)
    one, many = (score(model, model.subnet(0.5, 0.5), texts, size, CPU) for size in (1, 16))
    assert one.score == many.score
    assert one.loss == pytest.approx(many.loss, rel=1e-5)


def test_scoring_leaves_a_model_in_training() -> None:
    model = ElasticModel(random_model()).train()
    score(model, model.subnet(), Texts(ids=[[5, 6]], types=None, labels=[0], pad_id=0), 4, CPU)
    assert model.training
