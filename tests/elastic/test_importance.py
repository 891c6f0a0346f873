import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from edgebert.elastic.importance import Importance, rank, rewire


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, num_labels=2
    )
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def batches() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        {
            "input_ids": torch.randint(0, 50, (4, 7), generator=generator),
            "attention_mask": torch.tensor([[1] * 7, [1] * 7, [1] * 5 + [0] * 2, [1] * 2 + [0] * 5]),
            "labels": torch.randint(0, 2, (4,), generator=generator),
        }
        for _ in range(2)
    ]


def test_rewiring_leaves_full_width_logits_unchanged(
    model: BertForSequenceClassification, batches: list[dict[str, torch.Tensor]]
) -> None:
    rewired = copy.deepcopy(model)
    rewire(rewired, rank(rewired, batches))
    before, after = model.state_dict(), rewired.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        for batch in batches:
            torch.testing.assert_close(rewired(**batch).logits, model(**batch).logits, atol=1e-5, rtol=0)


def test_after_rewiring_importance_falls_from_left_to_right(
    model: BertForSequenceClassification, batches: list[dict[str, torch.Tensor]]
) -> None:
    rewire(model, rank(model, batches))
    ranked = rank(model, batches)
    for importance in (ranked.heads, ranked.neurons):
        assert (importance[:, :-1] >= importance[:, 1:] - 1e-6).all()


def test_a_heads_importance_is_the_gradient_of_its_mask(
    model: BertForSequenceClassification, batches: list[dict[str, torch.Tensor]]
) -> None:
    """Scale one head's output by 1 + d and 1 - d, and take the slope of the loss."""
    ranked, step, layer, head = rank(model, batches), 1e-2, 1, 2
    slope = 0.0
    for batch in batches:
        losses = []
        for scale in (1 + step, 1 - step):
            scaled = copy.deepcopy(model).double()
            with torch.no_grad():
                scaled.bert.encoder.layer[layer].attention.output.dense.weight[:, head * 6 : head * 6 + 6] *= scale
                losses.append(float(scaled(**batch).loss))
        slope += abs(losses[0] - losses[1]) / (2 * step)
    assert float(ranked.heads[layer, head]) == pytest.approx(slope, rel=1e-3)


def test_a_neurons_importance_is_the_gradient_of_its_weights_scale(
    model: BertForSequenceClassification, batches: list[dict[str, torch.Tensor]]
) -> None:
    ranked, step, layer, neuron = rank(model, batches), 1e-2, 0, 11
    total = 0.0
    for batch in batches:
        for incoming in (True, False):
            losses = []
            for scale in (1 + step, 1 - step):
                scaled = copy.deepcopy(model).double()
                block = scaled.bert.encoder.layer[layer]
                with torch.no_grad():
                    if incoming:
                        block.intermediate.dense.weight[neuron] *= scale
                        block.intermediate.dense.bias[neuron] *= scale
                    else:
                        block.output.dense.weight[:, neuron] *= scale
                    losses.append(float(scaled(**batch).loss))
            total += abs(losses[0] - losses[1]) / (2 * step)
    assert float(ranked.neurons[layer, neuron]) == pytest.approx(total, rel=1e-3)


def test_ranking_leaves_no_gradients_and_no_hooks(
    model: BertForSequenceClassification, batches: list[dict[str, torch.Tensor]]
) -> None:
    rank(model, batches)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer.attention.output.dense._forward_pre_hooks for layer in model.bert.encoder.layer)


def test_units_move_as_their_importance_says(model: BertForSequenceClassification) -> None:
    before = model.bert.encoder.layer[0].intermediate.dense.weight.detach().clone()
    neurons = torch.arange(32, dtype=torch.float).expand(2, 32)  # the last is the most important
    rewire(model, Importance(heads=torch.zeros(2, 4), neurons=neurons))
    torch.testing.assert_close(model.bert.encoder.layer[0].intermediate.dense.weight, before.flip(0))
