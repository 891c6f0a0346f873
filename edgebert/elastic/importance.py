"""Ranks the attention heads and FFN neurons of a fine-tuned BERT and puts the important ones first.

After `rewire` every narrower sub-network is a prefix of the weights, and the full-width logits are
unchanged (DynaBERT, arXiv 2004.04037, section 2.1). Knows nothing about training.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Importance:
    """How much the loss depends on each unit: heads (layers, heads) and neurons (layers, FFN size)."""

    heads: Tensor
    neurons: Tensor


def rank(model: Any, batches: Iterable[dict[str, Tensor]]) -> Importance:
    """Return the importance of every head and neuron of a transformers BERT for the loss of labelled batches.

    A head's importance is the sum over batches of |dL/dm| for a mask m = 1 on the head's output; a neuron's is the
    sum of |w1 . dL/dw1 + b1 dL/db1| + |w2 . dL/dw2|. Gradients are zeroed between batches.
    """
    model.eval()
    layers = model.base_model.encoder.layer
    contexts: dict[int, Tensor] = {}

    def remember(index: int) -> Any:
        def hook(_: Any, inputs: tuple[Tensor]) -> None:
            inputs[0].retain_grad()
            contexts[index] = inputs[0]

        return hook

    handles = [
        layer.attention.output.dense.register_forward_pre_hook(remember(index)) for index, layer in enumerate(layers)
    ]
    head_count, ffn_size = model.config.num_attention_heads, model.config.intermediate_size
    heads, neurons = torch.zeros(len(layers), head_count), torch.zeros(len(layers), ffn_size)
    try:
        for batch in batches:
            model.zero_grad()
            model(**batch).loss.backward()
            for index, layer in enumerate(layers):
                heads[index] += _head_gradient(contexts[index], head_count).abs()
                neurons[index] += _neuron_gradient(layer)
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad()
    return Importance(heads, neurons)


def _head_gradient(context: Tensor, head_count: int) -> Tensor:
    """Return dL/dm per head from the heads' outputs (batch, length, heads * head size) and their gradient."""
    assert context.grad is not None
    product = (context.detach() * context.grad).float()
    return product.reshape(*product.shape[:2], head_count, -1).sum(dim=(0, 1, 3))


def _neuron_gradient(layer: Any) -> Tensor:
    w1, b1, w2 = layer.intermediate.dense.weight, layer.intermediate.dense.bias, layer.output.dense.weight
    incoming = (w1 * w1.grad).sum(dim=1) + b1 * b1.grad
    outgoing = (w2 * w2.grad).sum(dim=0)
    importance: Tensor = (incoming.abs() + outgoing.abs()).detach()
    return importance


def rewire(model: Any, importance: Importance) -> None:
    """Reorder the heads and neurons of a transformers BERT in place, the most important first."""
    head_size = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for layer, heads, neurons in zip(
            model.base_model.encoder.layer, importance.heads, importance.neurons, strict=True
        ):
            head_order = heads.argsort(descending=True, stable=True)
            columns = (head_order[:, None] * head_size + torch.arange(head_size)).flatten()
            attention = layer.attention.self
            for projection in (attention.query, attention.key, attention.value):
                _permute_outputs(projection, columns)
            _permute_inputs(layer.attention.output.dense, columns)
            neuron_order = neurons.argsort(descending=True, stable=True)
            _permute_outputs(layer.intermediate.dense, neuron_order)
            _permute_inputs(layer.output.dense, neuron_order)


def _permute_outputs(linear: Any, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[order].clone())
    linear.bias.copy_(linear.bias[order].clone())


def _permute_inputs(linear: Any, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[:, order].clone())
