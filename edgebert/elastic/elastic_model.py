"""An elastic model: one set of weights, run as any sub-network, which is an argument and never a mode.

Knows nothing about training, data or files.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgebert.elastic.model import Model, ModelOutput, ReadOutputs, outputs_by_name
from edgebert.elastic.units import KINDS, Kind, UnitTensor, UnitValues
from edgebert.errors import TrainingError
from edgebert.subnet import Subnet

Counts = dict[Kind, int]
_UNLIKE = "expected as many {what} in all layers of {kind} that share weights, found others; keep as many in each"


class ElasticModel(Model):
    """A transformers model whose layers, heads and FFN neurons can be cut in each call.

    Raises:
        TrainingError: the model is of no family that can be cut.
    """

    def __init__(self, network: PreTrainedModel, read_outputs: ReadOutputs = outputs_by_name):
        super().__init__(network, read_outputs)
        self.config.check_elastic()
        # All layers have the same tensors.
        self._units = self.family.unit_tensors(self.layers()[0], self.config.head_size)

    def subnet(self, width: float | Fraction = 1, depth: float | Fraction = 1) -> Subnet:
        """Return DynaBERT's slice of this model for a width and a depth."""
        return self.config.subnet(width, depth)

    def layers(self) -> list[nn.Module]:
        """Return the modules of the layers; layers that share their weights are one."""
        return self.family.layers_of(self.network)

    def unit_tensors(self, network: PreTrainedModel | None = None) -> Iterator[tuple[int, UnitTensor, nn.Module]]:
        """Yield each tensor of this model, or of a copy, that has heads or neurons: layer, tensor and its module.

        What all layers share is of layer 0.
        """
        network = network or self.network
        for place, layer in enumerate(self.family.layers_of(network)):
            for unit in self._units:
                yield place, unit, layer.get_submodule(unit.module)
        for unit in self.family.shared_unit_tensors():
            yield 0, unit, network.base_model.get_submodule(unit.module)

    def forward(
        self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None, scales: UnitValues | None = None
    ) -> ModelOutput:
        """Run a sub-network as `Model.forward` does; what each unit puts out is multiplied by `scales`."""
        return self._run(self._view(subnet, scales), ids, mask, types)

    def _view(self, subnet: Subnet, scales: UnitValues | None) -> PreTrainedModel:
        """Return a sub-network as a transformers model whose tensors are views of this model's.

        It is made for one call, in less than a millisecond: it holds nothing, and calls in several threads do not meet.
        """
        view, counts = self.family.shared_copy(self.network, subnet.layers), self._counts(subnet)
        numbers = list(counts)
        for place, unit, module in self.unit_tensors(view):
            number = numbers[place]
            count = counts[number][unit.kind]
            tensor = unit.first(tensor_of(module, unit), count)
            # What a unit puts out is scaled where it is read.
            if scales is not None and unit.reads:
                tensor = unit.scaled(tensor, getattr(scales, unit.kind)[number, :count])
            module._parameters[unit.name] = tensor  # type: ignore[assignment]  # a view is no nn.Parameter
        self._tell_heads(view, list(counts.values()))
        return view

    def _counts(self, subnet: Subnet) -> dict[int, Counts]:
        """Return what a sub-network keeps of each layer with weights of its own, by the number of that layer.

        Raises:
            TrainingError: layers that share weights do not keep the same.
        """
        stored = self.config.stored_layers
        found: dict[int, Counts] = {}
        for layer, heads, ffn in zip(subnet.layers, subnet.heads, subnet.ffn, strict=True):
            kept: Counts = {"heads": heads, "neurons": ffn}
            if found.setdefault(stored[layer], kept) != kept:
                raise TrainingError(_UNLIKE.format(kind=self.config.plain.model_type, what="heads and neurons"))
        if self.family.has_one_head_order and len(set(subnet.heads)) > 1:
            raise TrainingError(_UNLIKE.format(kind=self.config.plain.model_type, what="heads"))
        return found

    def _tell_heads(self, network: PreTrainedModel, counts: Sequence[Counts]) -> None:
        for layer, kept in zip(self.family.layers_of(network), counts, strict=True):
            self.family.tell_heads(layer, kept["heads"], self.config.head_size)

    def extract(self, subnet: Subnet) -> PreTrainedModel:
        """Return a sub-network as a plain transformers model, with weights of its own, that can be saved.

        Layers are left out, and FFN neurons down to the most that a layer keeps. What else is cut stands as zeros.
        """
        plain, counts = self.family.with_layers(self.network, subnet.layers), list(self._counts(subnet).values())
        # transformers takes the size of a head to be hidden size / heads, and gives all layers one FFN size, which is
        # that of the widest.
        stored: Counts = {"heads": self.config.heads, "neurons": max(subnet.ffn)}
        setattr(plain.config, self.family.ffn_key, stored["neurons"])
        for place, unit, module in self.unit_tensors(plain):
            first = unit.first(tensor_of(module, unit), counts[place][unit.kind])
            _replace(module, unit, unit.padded(first, stored[unit.kind]))
        self._tell_heads(plain, [stored] * len(counts))
        return plain

    def cut(self, heads: Sequence[int], ffn: Sequence[int]) -> None:
        """Keep in place only the first heads and neurons of each layer, so that less is stored and computed.

        Sub-networks within what is kept still run; `plain` gives a model that transformers can load again.
        """
        counts = self._counts(msgspec.structs.replace(self.subnet(), heads=tuple(heads), ffn=tuple(ffn)))
        for number, unit, module in self.unit_tensors():
            _replace(module, unit, unit.first(tensor_of(module, unit), counts[number][unit.kind]))
        self._tell_heads(self.network, list(counts.values()))

    def plain(self) -> PreTrainedModel:
        """Return the model as transformers loads it: what was cut from layers stands in a copy as zeros."""
        full = self.subnet()
        # By what the layers have now.
        left: dict[tuple[int, Kind], int] = {
            (number, unit.kind): unit.units(tensor_of(module, unit)) for number, unit, module in self.unit_tensors()
        }
        heads, ffn = (tuple(left[number, kind] for number in self.config.stored_layers) for kind in KINDS)
        if (heads, ffn) == (full.heads, full.ffn):
            return self.network
        return self.extract(msgspec.structs.replace(full, heads=heads, ffn=ffn))


def tensor_of(module: nn.Module, unit: UnitTensor) -> Tensor:
    """Return the tensor of a module that has units."""
    tensor = module._parameters[unit.name]
    assert tensor is not None, "only tensors that are there have units"
    return tensor


@torch.no_grad()
def _replace(module: nn.Module, unit: UnitTensor, tensor: Tensor) -> None:
    """Put a tensor of other sizes in the place of a module's own."""
    setattr(module, unit.name, nn.Parameter(tensor.detach().clone()))
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
