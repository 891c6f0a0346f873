"""Ranks the attention heads and FFN neurons of a fine-tuned model and puts the important ones first.

After `rewire` every narrower sub-network is a prefix of the weights, and the full-width logits are
unchanged (DynaBERT, arXiv 2004.04037, section 2.1). Knows nothing about training.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from edgebert.elastic.elastic_model import ElasticModel, UnitValues
from edgebert.elastic.texts import TensorBatch


def rank(
    model: ElasticModel, batches: Iterable[TensorBatch], label_loss: Callable[[Tensor, Tensor], Tensor]
) -> UnitValues:
    """Return the importance of every head and neuron for the loss of labelled batches.

    A head's importance is the sum over batches of |dL/dm| for a mask m = 1 on the head's output; a neuron's is the
    sum of |w1 . dL/dw1 + b1 dL/db1| + |w2 . dL/dw2|. `label_loss` takes logits and targets, and is a sum over texts; L
    is its mean.
    """
    was_training = model.training
    model.eval()
    full, layers, device = model.subnet(), model.layers(), next(model.parameters()).device
    heads = torch.zeros(len(layers), full.heads[0], device=device)
    neurons = torch.zeros(len(layers), full.ffn[0], device=device)
    weights = [part for layer in layers for part in (layer.ffn_in.weight, layer.ffn_in.bias, layer.ffn_out.weight)]
    for batch in batches:
        assert batch.targets is not None, "importance is for a loss of labels"
        mask = torch.ones_like(heads).requires_grad_()
        logits = model(batch.ids, batch.mask, full, batch.types, UnitValues(mask, torch.ones_like(neurons))).logits
        loss = label_loss(logits, batch.targets) / len(batch.ids)

        gradient, *others = torch.autograd.grad(loss, [mask, *weights])
        heads += gradient.abs()
        products = [weight.detach() * other for weight, other in zip(weights, others, strict=True)]
        for layer in range(len(layers)):
            w1, b1, w2 = products[3 * layer : 3 * layer + 3]
            neurons[layer] += (w1.sum(dim=1) + b1).abs() + w2.sum(dim=0).abs()
    model.train(was_training)
    return UnitValues(heads.cpu(), neurons.cpu())


@torch.no_grad()
def rewire(model: ElasticModel, importance: UnitValues) -> None:
    """Reorder the heads and neurons of a model in place, the most important first."""
    size = model.config.head_size
    for layer, heads, neurons in zip(model.layers(), importance.heads, importance.neurons, strict=True):
        # A head's dimensions stand together and move together: outputs of its projections, inputs of what follows.
        head_order = heads.argsort(descending=True, stable=True)
        columns = (head_order[:, None] * size + torch.arange(size)).flatten()
        for projection in (layer.q, layer.k, layer.v):
            _permute_outputs(projection, columns)
        layer.o.weight.copy_(layer.o.weight[:, columns])

        neuron_order = neurons.argsort(descending=True, stable=True)
        _permute_outputs(layer.ffn_in, neuron_order)
        layer.ffn_out.weight.copy_(layer.ffn_out.weight[:, neuron_order])


def _permute_outputs(linear: nn.Linear, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[order])
    linear.bias.copy_(linear.bias[order])
