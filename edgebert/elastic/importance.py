"""Ranks the attention heads and FFN neurons of a fine-tuned model and puts the important ones first.

After `rewire` every narrower sub-network is a prefix of the weights, and the full-width logits are
unchanged (DynaBERT, arXiv 2004.04037, section 2.1). Knows nothing about training.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgebert.elastic.data import Batch
from edgebert.elastic.families import Layer
from edgebert.elastic.model import ElasticModel


@dataclass(frozen=True)
class Importance:
    """How much the loss depends on each unit: heads (layers, heads) and neurons (layers, FFN size)."""

    heads: Tensor
    neurons: Tensor


def rank(model: ElasticModel, batches: Iterable[Batch]) -> Importance:
    """Return the importance of every head and neuron for the loss of labelled batches.

    A head's importance is the sum over batches of |dL/dm| for a mask m = 1 on the head's output; a neuron's is the
    sum of |w1 . dL/dw1 + b1 dL/db1| + |w2 . dL/dw2|. Gradients are zeroed between batches.
    """
    training, classifier = model.training, model.classifier
    model.eval()
    layers = model.family.layers_of(classifier)
    contexts: dict[int, Tensor] = {}

    def remember(index: int) -> Any:
        def hook(_: Any, inputs: tuple[Tensor]) -> None:
            inputs[0].retain_grad()
            contexts[index] = inputs[0]

        return hook

    handles = [layer.attention_out.register_forward_pre_hook(remember(index)) for index, layer in enumerate(layers)]
    device = layers[0].query.weight.device
    head_count, ffn_size = model.config.num_attention_heads, model.config.intermediate_size
    heads, neurons = torch.zeros(len(layers), head_count), torch.zeros(len(layers), ffn_size)
    heads, neurons = heads.to(device), neurons.to(device)
    try:
        for batch in batches:
            model.zero_grad()
            classifier(**batch.named()).loss.backward()
            for index, layer in enumerate(layers):
                heads[index] += _head_gradient(contexts[index], head_count).abs()
                neurons[index] += _neuron_gradient(layer)
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad()
        model.train(training)
    return Importance(heads.cpu(), neurons.cpu())


def _head_gradient(context: Tensor, head_count: int) -> Tensor:
    """Return dL/dm per head from the heads' outputs (batch, length, heads * head size) and their gradient."""
    assert context.grad is not None
    product = (context.detach() * context.grad).float()
    return product.reshape(*product.shape[:2], head_count, -1).sum(dim=(0, 1, 3))


def _neuron_gradient(layer: Layer) -> Tensor:
    w1, b1, w2 = layer.ffn_in.weight, layer.ffn_in.bias, layer.ffn_out.weight
    assert w1.grad is not None
    assert b1.grad is not None
    assert w2.grad is not None
    incoming = (w1 * w1.grad).sum(dim=1) + b1 * b1.grad
    outgoing = (w2 * w2.grad).sum(dim=0)
    importance: Tensor = (incoming.abs() + outgoing.abs()).detach()
    return importance


@torch.no_grad()
def rewire(model: ElasticModel, importance: Importance) -> None:
    """Reorder the heads and neurons of a model in place, the most important first."""
    layers = model.family.layers_of(model.classifier)
    for layer, heads, neurons in zip(layers, importance.heads, importance.neurons, strict=True):
        head_order = heads.argsort(descending=True, stable=True)
        columns = (head_order[:, None] * model.head_size + torch.arange(model.head_size)).flatten()
        for projection in (layer.query, layer.key, layer.value):
            _permute_outputs(projection, columns)
        _permute_inputs(layer.attention_out, columns)
        neuron_order = neurons.argsort(descending=True, stable=True)
        _permute_outputs(layer.ffn_in, neuron_order)
        _permute_inputs(layer.ffn_out, neuron_order)


def _permute_outputs(linear: nn.Linear, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[order].clone())
    linear.bias.copy_(linear.bias[order].clone())


def _permute_inputs(linear: nn.Linear, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[:, order].clone())
