import copy
import itertools

import pytest
import torch
from msgspec.structs import replace
from toys import random_model, unit_of

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.importance import rank, rank_layers, rewire
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


def test_the_last_layers_in_order_are_those_that_change_least(model: ElasticModel, batches: list[TensorBatch]) -> None:
    """Without the last one, the teacher's probabilities are met better than without any other one that can go."""
    losses, whole = LOSSES["cross-entropy"], model.subnet()
    order = rank_layers(model, batches, losses)
    assert sorted(order) == list(range(model.config.layers))

    def loss_without(layer: int) -> float:
        left = [other for other in whole.layers if other != layer]
        one = replace(whole, layers=tuple(left), heads=whole.heads[1:], ffn=whole.ffn[1:])
        total = 0.0
        for batch in batches:
            with torch.no_grad():
                found, right = (model(batch.ids, batch.mask, subnet).outputs for subnet in (one, whole))
            total += float(losses.of_teacher(found, right, right, 1.0))
        return total

    possible = [layer for layer in order if model.config.has_layers([one for one in whole.layers if one != layer])]
    assert loss_without(order[-1]) == pytest.approx(min(map(loss_without, possible)), rel=1e-5)


def test_the_first_layers_in_order_are_always_a_model(batches: list[TensorBatch]) -> None:
    """Of groups that share weights, as many must stay of each, or one more of those in front."""
    grouped = ElasticModel(random_model("albert", num_labels=3, num_hidden_layers=6, num_hidden_groups=3))
    order = rank_layers(grouped, batches, LOSSES["cross-entropy"])
    assert sorted(order) == list(range(6))
    assert all(grouped.config.has_layers(sorted(order[:count])) for count in range(1, 7))


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
