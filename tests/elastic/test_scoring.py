import numpy as np
import pytest
import torch
from accelerate import Accelerator
from toys import random_model

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.losses import LOSSES
from edgebert.elastic.scoring import Scorer
from edgebert.elastic.texts import Target, Texts
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Task
from edgebert.tasks.text_classification import TextClassification

CLASSES = TextClassification(("a", "b", "c"))
SEVERAL = MultiLabelTextClassification(("a", "b", "c"))


def scorer(task: Task, targets: list[Target], pad_id: int = 0) -> Scorer:
    ids = [[5 + number % 20] * (number % 7 + 2) for number in range(len(targets))]
    texts = Texts(ids=ids, types=None, targets=targets, pad_id=pad_id)
    return Scorer(task, LOSSES[task.LOSS], texts, Accelerator(cpu=True))


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (CLASSES, [number % 3 for number in range(40)]),
        (SEVERAL, [[float(number % 2), 1.0, float(number % 5 == 0)] for number in range(40)]),
    ],
)
def test_a_score_is_the_tasks_first_metric_however_texts_are_batched(
    model: ElasticModel, task: Task, targets: list[Target]
) -> None:
    scoring, subnet = scorer(task, targets, model.network.config.pad_token_id), model.subnet(0.5, 0.5)
    one, many = (scoring.score(model, subnet, size) for size in (1, 16))
    assert one.score == many.score
    assert one.loss == pytest.approx(many.loss, rel=1e-5)
    assert (one.id, one.width, one.depth) == (subnet.id, 0.5, 0.5)

    outputs = [model(torch.tensor([ids]), torch.ones(1, len(ids)), subnet).logits for ids in scoring.texts.ids]
    scores = np.asarray(task.results({"logits": torch.cat(outputs).detach().numpy()}, (), task.options({})))
    assert one.score == pytest.approx(task.metrics(scores, targets)[task.METRICS[0]])


def test_scoring_leaves_a_model_in_training() -> None:
    model = ElasticModel(random_model(num_labels=3)).train()
    scorer(CLASSES, [0]).score(model, model.subnet())
    assert model.training


def test_all_sub_networks_are_scored_in_their_order() -> None:
    model = ElasticModel(random_model(num_labels=3)).eval()
    subnets = [model.subnet(width) for width in (1, 0.5, 0.25)]
    found = scorer(CLASSES, [0, 1, 2]).score_all(model, subnets)
    assert [one.id for one in found] == [subnet.id for subnet in subnets]
