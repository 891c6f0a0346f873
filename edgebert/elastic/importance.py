"""Ranks the layers, attention heads and FFN neurons of a fine-tuned model, and puts important heads and neurons first.

After `rewire` every narrower sub-network is a prefix of the weights, and the full-width logits are
unchanged (DynaBERT, arXiv 2004.04037, section 2.1). Knows nothing about training.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
import torch
from torch import Tensor

from edgebert.elastic.elastic_model import ElasticModel, tensor_of
from edgebert.elastic.losses import Losses, TensorOutputs
from edgebert.elastic.model import ModelOutput
from edgebert.elastic.texts import TensorBatch
from edgebert.elastic.units import Kind, UnitTensor, UnitValues


def rank(
    model: ElasticModel, batches: Iterable[TensorBatch], loss_of: Callable[[TensorOutputs, Tensor | None], Tensor]
) -> UnitValues:
    """Return the importance of every head and neuron for a loss.

    A head's importance is the sum over batches of |dL/dm| for a mask m = 1 on the head's output; a neuron's is the
    sum of |w1 . dL/dw1 + b1 dL/db1| + |w2 . dL/dw2|, and the same for its gate where it has one. `loss_of` takes
    outputs and targets, and is a sum over texts; L is its mean. Where layers share weights, L is differentiated by what
    is shared; where they share the order of heads, all have the sum over layers.
    """
    was_training = model.training
    model.eval()
    ones = UnitValues(*(torch.ones_like(values) for values in _no_values(model)))
    found = _no_values(model)
    # The maps that make neurons and those that read them, a map's weight and bias together.
    maps: dict[tuple[int, str], list[tuple[UnitTensor, Tensor]]] = {}
    for layer, unit, module in model.unit_tensors():
        if unit.kind == "neurons":
            maps.setdefault((layer, unit.module), []).append((unit, tensor_of(module, unit)))
    weights = [tensor for tensors in maps.values() for _, tensor in tensors]

    for batch in batches:
        mask = ones.heads.clone().requires_grad_()
        scales = UnitValues(mask, ones.neurons)
        outputs = model(batch.ids, batch.mask, model.subnet(), batch.types, scales).outputs
        loss = loss_of(outputs, batch.targets) / len(batch.ids)

        gradient, *others = torch.autograd.grad(loss, [mask, *weights])
        found.heads.add_(gradient.abs())
        gradients = iter(others)
        for (layer, _), tensors in maps.items():
            sums = [unit.sums(tensor.detach() * next(gradients)) for unit, tensor in tensors]
            # Each part of a merged map is a map: of a gate, the neuron and what it is multiplied by.
            found.neurons[layer] += torch.stack(sums).sum(dim=0).abs().sum(dim=0)
    model.train(was_training)
    return model.family.tied(UnitValues(found.heads.cpu(), found.neurons.cpu()))


@torch.inference_mode()
def rank_layers(model: ElasticModel, batches: Sequence[TensorBatch], losses: Losses) -> tuple[int, ...]:
    """Return the layers of a model, the most important first; none if it cannot drop them one by one.

    Of those that are left, always the one is dropped without which outputs stay nearest to the whole model's.
    """
    was_training, whole = model.training, model.subnet()
    model.eval()

    def outputs(batch: TensorBatch, layers: Sequence[int]) -> TensorOutputs:
        sizes = {"heads": whole.heads[: len(layers)], "ffn": whole.ffn[: len(layers)]}
        output: ModelOutput = model(
            batch.ids, batch.mask, msgspec.structs.replace(whole, layers=tuple(layers), **sizes), batch.types
        )
        return output.outputs

    right = [(batch, outputs(batch, whole.layers)) for batch in batches]

    def loss(layers: Sequence[int]) -> float:
        return float(sum(losses.of_teacher(outputs(batch, layers), full, full, 1.0) for batch, full in right))

    left, dropped = list(whole.layers), list[int]()
    # Even with one layer less, transformers 4 has no configuration for some of ModernBERT's.
    while len(left) > 1:
        shorter = [[layer for layer in left if layer != out] for out in left]
        possible = [layers for layers in shorter if model.config.has_layers(layers)]
        if not possible:
            break
        best = min(possible, key=loss)
        dropped += set(left) - set(best)
        left = best
    model.train(was_training)
    return (*left, *reversed(dropped)) if len(left) == 1 else ()


def _no_values(model: ElasticModel) -> UnitValues:
    layers, device = len(model.layers()), next(model.parameters()).device
    return UnitValues(
        torch.zeros(layers, model.config.heads, device=device), torch.zeros(layers, model.config.ffn, device=device)
    )


@torch.no_grad()
def rewire(model: ElasticModel, importance: UnitValues) -> None:
    """Reorder the heads and neurons of a model in place, the most important first."""
    heads, neurons = (values.argsort(dim=1, descending=True, stable=True) for values in importance)
    assert not model.family.has_one_head_order or (heads == heads[0]).all(), "what belongs to heads is shared"
    order: dict[Kind, Tensor] = {"heads": heads, "neurons": neurons}
    for layer, unit, module in model.unit_tensors():
        tensor = tensor_of(module, unit)
        tensor.copy_(unit.reordered(tensor, order[unit.kind][layer]))
