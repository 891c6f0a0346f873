import copy
import itertools

import pytest
import torch
from toys import random_model, unit_of

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.importance import rank, rewire
from edgebert.elastic.losses import LOSSES
from edgebert.elastic.texts import TensorBatch
from edgebert.elastic.units import UnitValues

LOSS = LOSSES["cross-entropy"].for_ranking

HEAD = 8  # dimensions


@pytest.fixture
def batches() -> list[TensorBatch]:
    generator = torch.Generator().manual_seed(5)
    mask = torch.tensor([[1] * 7, [1] * 7, [1] * 5 + [0] * 2, [1] * 2 + [0] * 5])
    return [
        TensorBatch(
            ids=torch.randint(5, 30, (4, 7), generator=generator),
            mask=mask,
            types=None,
            targets=torch.randint(0, 3, (4,), generator=generator),
        )
        for _ in range(2)
    ]


def logits(model: ElasticModel, batch: TensorBatch) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(batch.ids, batch.mask, model.subnet()).logits
    return found


def loss(classifier: torch.nn.Module, batch: TensorBatch) -> float:
    """Return the loss that transformers computes, in double precision, which finite differences need."""
    return float(classifier(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.targets).loss)


def test_rewiring_leaves_full_width_logits_unchanged(model: ElasticModel, batches: list[TensorBatch]) -> None:
    rewired = copy.deepcopy(model)
    rewire(rewired, rank(rewired, batches, LOSS))
    before, after = model.state_dict(), rewired.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for batch in batches:
        torch.testing.assert_close(logits(rewired, batch), logits(model, batch), atol=1e-5, rtol=0)


def test_after_rewiring_importance_falls_from_left_to_right(model: ElasticModel, batches: list[TensorBatch]) -> None:
    rewire(model, rank(model, batches, LOSS))
    ranked = rank(model, batches, LOSS)
    for importance in (ranked.heads, ranked.neurons):
        assert (importance[:, :-1] >= importance[:, 1:] - 1e-5).all()


def test_a_heads_importance_is_the_gradient_of_its_mask(model: ElasticModel, batches: list[TensorBatch]) -> None:
    """Scale one head's output by 1 + d and 1 - d, and take the slope of the loss."""
    ranked, step, head = rank(model, batches, LOSS), 1e-2, 2
    last = len(model.layers()) - 1
    slope = 0.0
    # Where all layers have one order of heads, their importance is the sum over layers.
    of = range(last + 1) if model.family.has_one_head_order else [last]
    for batch, layer in itertools.product(batches, of):
        losses = []
        for scale in (1 + step, 1 - step):
            scaled = copy.deepcopy(model).double()
            with torch.no_grad():
                part = unit_of(scaled, layer, "o")
                part.weight[:, head * HEAD : head * HEAD + HEAD] *= scale
                losses.append(loss(scaled.network, batch))
        slope += abs(losses[0] - losses[1]) / (2 * step)
    assert float(ranked.heads[last, head]) == pytest.approx(slope, rel=1e-3)


def test_a_neurons_importance_is_the_gradient_of_its_weights_scale(
    model: ElasticModel, batches: list[TensorBatch]
) -> None:
    ranked, step, layer, neuron = rank(model, batches, LOSS), 1e-2, 0, 11
    total = 0.0
    for batch in batches:
        # In a merged tensor the neuron's gate stands as far behind it as there are neurons.
        for rows in ([neuron], [neuron + 64], None) if model.family.described.pre_norm else ([neuron], None):
            losses = []
            for scale in (1 + step, 1 - step):
                scaled = copy.deepcopy(model).double()
                with torch.no_grad():
                    if rows:
                        for tensor in unit_of(scaled, layer, "ffn_in").parameters():
                            tensor[rows] *= scale
                    else:
                        unit_of(scaled, layer, "ffn_out").weight[:, neuron] *= scale
                    losses.append(loss(scaled.network, batch))
            total += abs(losses[0] - losses[1]) / (2 * step)
    assert float(ranked.neurons[layer, neuron]) == pytest.approx(total, rel=1e-3)


def test_ranking_leaves_no_gradients(model: ElasticModel, batches: list[TensorBatch]) -> None:
    rank(model, batches, LOSS)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_units_move_as_their_importance_says() -> None:
    model = ElasticModel(random_model())
    before = unit_of(model, 0, "ffn_in").weight.detach().clone()
    neurons = torch.arange(64, dtype=torch.float).expand(4, 64)  # the last is the most important
    rewire(model, UnitValues(heads=torch.zeros(4, 4), neurons=neurons))
    torch.testing.assert_close(unit_of(model, 0, "ffn_in").weight, before.flip(0))
