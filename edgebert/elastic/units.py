"""Heads and FFN neurons as parts of tensors: which dimension of a tensor they are, how they are kept and reordered.

Pure functions of tensors. Knows nothing about families, models and training.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["heads", "neurons"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class UnitValues(NamedTuple):
    """A value for each unit, such as its importance or whether it is kept.

    Heads are (layers, heads), FFN neurons (layers, FFN size). Layers that share their weights have one row.
    """

    heads: Tensor
    neurons: Tensor


@dataclass(frozen=True)
class UnitTensor:
    """A tensor that has units in one dimension, and for each unit so many values there that stand together.

    It is called `name` in a module. A merged tensor has `parts` of that dimension, each with all units. `reads` is of
    the weight that reads what units put out.
    """

    module: str
    name: str
    kind: Kind
    dim: int
    size: int
    parts: int = 1
    reads: bool = False

    @property
    def path(self) -> str:
        """The name of the tensor with that of its module."""
        return f"{self.module}.{self.name}"

    def units(self, tensor: Tensor) -> int:
        """Return how many units a tensor has."""
        return tensor.shape[self.dim] // (self.size * self.parts)

    def first(self, tensor: Tensor, count: int) -> Tensor:
        """Return a tensor with its first units alone; it is a view of it, unless it is a merged one."""
        if count == self.units(tensor):
            return tensor
        if self.parts == 1:  # in one operation, since this is done for each tensor of each call
            return tensor.narrow(self.dim, 0, count * self.size)
        return self._joined(self._split(tensor).narrow(self.dim + 1, 0, count * self.size))

    def padded(self, tensor: Tensor, count: int) -> Tensor:
        """Return a tensor with zeros behind its units, so that they become so many."""
        # torch counts dimensions from the last one, two numbers for each.
        missing = (count - self.units(tensor)) * self.size
        return self._joined(functional.pad(self._split(tensor), [0, 0] * (tensor.ndim - self.dim - 1) + [0, missing]))

    def reordered(self, tensor: Tensor, order: Tensor) -> Tensor:
        """Return a tensor with its units in an order."""
        # The values of a unit move together.
        places = (order[:, None] * self.size + torch.arange(self.size, device=order.device)).flatten()
        return self._joined(self._split(tensor).index_select(self.dim + 1, places.to(tensor.device)))

    def scaled(self, tensor: Tensor, values: Tensor) -> Tensor:
        """Return a tensor with each of its units multiplied by a value."""
        each = values.repeat_interleave(self.size).to(tensor.dtype)
        return tensor * each.view(-1, *[1] * (tensor.ndim - self.dim - 1))

    def sums(self, tensor: Tensor) -> Tensor:
        """Return the sum of the values of each unit, in each part: (parts, units)."""
        split = self._split(tensor).movedim((self.dim, self.dim + 1), (0, 1))
        return split.reshape(self.parts, self.units(tensor), -1).sum(dim=-1)

    def _split(self, tensor: Tensor) -> Tensor:
        return torch.unflatten(tensor, self.dim, (self.parts, -1))

    def _joined(self, split: Tensor) -> Tensor:
        return split.flatten(self.dim, self.dim + 1)
