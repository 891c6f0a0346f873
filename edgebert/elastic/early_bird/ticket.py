"""Tickets (EarlyBERT, arXiv 2101.00063): which heads and FFN neurons of a network are kept, drawn from coefficients.

Mostly pure functions of tensors. Knows nothing about training.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.importance import rewire
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.units import UnitValues
from edgebert.elastic_manifest import Slice
from edgebert.errors import TrainingError
from edgebert.records import Record

Drawn = Literal["settled", "at", "latest", "random"]
UnitNumber = Annotated[int, Meta(ge=0)]


class Pruning(Record, frozen=True):
    """How much is cut: shares of each layer's heads and of the FFN neurons of all layers together.

    A layer keeps a multiple of `multiple` neurons.
    """

    heads: float = 1 / 3
    ffn: float = 0.4
    # 64 int8 values are a cache line, and a row of the tiles and vectors that int8 kernels take at once; those for
    # bfloat16 and float32 take 32 and 16 values.
    multiple: int = 64


class Ticket(Record, frozen=True):
    """The numbers of the heads and of the neurons that each layer keeps, and how and after which step it was drawn."""

    schema_version: int
    heads: tuple[tuple[UnitNumber, ...], ...]
    neurons: tuple[tuple[UnitNumber, ...], ...]
    drawn: Drawn
    step: int

    @classmethod
    def of(cls, mask: UnitValues, drawn: Drawn, step: int) -> "Ticket":
        """Return the ticket that keeps the units of a mask."""
        heads, neurons = (tuple(tuple(row.nonzero().flatten().tolist()) for row in kept) for kept in mask)
        return cls(cls.VERSION, heads, neurons, drawn, step)

    def slice(self, config: ModelConfig) -> Slice:
        """Return what the ticket leaves of a network, with a name that says how much."""
        heads, ffn = (tuple(map(len, kept)) for kept in (self.heads, self.neurons))
        shares = (sum(heads) / config.heads / len(heads), sum(ffn) / config.ffn / len(ffn))
        name = "random-ticket" if self.drawn == "random" else "early-bird"
        return Slice(f"{name}-h{shares[0]:.2f}-f{shares[1]:.2f}", tuple(range(len(heads))), heads, ffn)


def check_fits(pruning: Pruning, config: ModelConfig) -> None:
    """Raise a TrainingError if a network's layers are no multiples of the blocks that neurons are kept in."""
    if config.ffn % pruning.multiple:
        sizes = f"a divisor of {config.ffn}, the checkpoint's FFN size, as the multiple for FFN widths"
        raise TrainingError(f"expected {sizes}, found {pruning.multiple}; choose another --ffn-multiple")


def draw(coefficients: UnitValues, pruning: Pruning) -> UnitValues:
    """Return the mask of the largest coefficients, by magnitude; of equal ones, those with the lowest numbers.

    Heads are compared within their layer, neurons with those of all layers. Every layer keeps at least one head and
    one block of neurons; the blocks together are as near to the share of all neurons as they can be.
    """
    layers, heads = coefficients.heads.shape
    magnitudes = UnitValues(*(values.abs() for values in coefficients))
    kept = max(1, round(heads * (1 - pruning.heads)))
    return _largest(magnitudes, [kept] * layers, _widths(magnitudes.neurons, pruning))


def draw_like(mask: UnitValues, coefficients: UnitValues) -> UnitValues:
    """Return the mask of the largest coefficients that keeps in each layer as many units as another mask.

    With random coefficients that is a fair control of a ticket: of its size in every layer, and of its speed.
    """
    heads, neurons = (kept.sum(dim=1).tolist() for kept in mask)
    return _largest(coefficients, heads, neurons)


def random_coefficients(config: ModelConfig, seed: int) -> UnitValues:
    """Return coefficients of a network's units that say nothing of them."""
    generator = torch.Generator().manual_seed(seed)
    found = UnitValues(*(torch.rand(config.layers, size, generator=generator) for size in (config.heads, config.ffn)))
    return config.family.tied(found)


def distance(one: UnitValues, other: UnitValues) -> tuple[float, float]:
    """Return the shares of heads and of neurons that two masks treat differently (normalised Hamming distances)."""
    heads, neurons = (float((ours != theirs).double().mean()) for ours, theirs in zip(one, other, strict=True))
    return heads, neurons


def left_to_ties(coefficients: UnitValues, mask: UnitValues) -> tuple[float, float]:
    """Return the distance to the mask if equal coefficients in a layer were told apart in the most different way."""
    pairs = zip(coefficients, mask, strict=True)
    heads, neurons = (sum(map(_ties, values.abs(), kept)) / values.numel() for values, kept in pairs)
    return heads, neurons


def _ties(coefficients: Tensor, kept: Tensor) -> int:
    smallest = coefficients[kept].min()
    # Each unit that is swapped differs twice: one is kept that was not, and one is not that was.
    return 2 * min(int((coefficients[part] == smallest).sum()) for part in (kept, ~kept))


def _widths(coefficients: Tensor, pruning: Pruning) -> list[int]:
    """Return how many neurons each layer keeps: blocks go one by one to the layer that lacks most of its share."""
    layers, ffn = coefficients.shape
    total = round(layers * ffn * (1 - pruning.ffn))
    # How many neurons each layer would have if all layers were compared without blocks.
    best = coefficients.flatten().argsort(descending=True, stable=True)[:total]
    wanted = (best // ffn).bincount(minlength=layers).tolist()
    # No layer may lose all of its neurons, so each begins with a block.
    blocks = [1] * layers
    for _ in range(round(total / pruning.multiple) - layers):
        lacking = [count / pruning.multiple - held for count, held in zip(wanted, blocks, strict=True)]
        open_layers = [layer for layer in range(layers) if blocks[layer] * pruning.multiple < ffn]
        blocks[max(open_layers, key=lambda layer: lacking[layer])] += 1
    return [held * pruning.multiple for held in blocks]


def _largest(values: UnitValues, heads: Sequence[int], neurons: Sequence[int]) -> UnitValues:
    """Return a mask of the largest values of each layer, so many heads and neurons."""

    def largest(rows: Tensor, counts: Sequence[int]) -> Tensor:
        ranks = rows.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return ranks < torch.tensor(counts)[:, None]

    return UnitValues(largest(values.heads, heads), largest(values.neurons, neurons))


def mask_of(ticket: Ticket, config: ModelConfig) -> UnitValues:
    """Return a ticket as a mask over a network's units, or raise a TrainingError if that is of other sizes."""
    layers, heads, ffn = config.layers, config.heads, config.ffn
    if config.family.has_one_head_order and len({tuple(sorted(kept)) for kept in ticket.heads}) > 1:
        expected = f"expected a ticket with the same heads in all layers of {config.plain.model_type}"
        raise TrainingError(f"{expected}, found others; draw another")
    try:
        return UnitValues(_marked(ticket.heads, layers, heads), _marked(ticket.neurons, layers, ffn))
    except (IndexError, ValueError):
        sizes = f"{layers} layers of {heads} heads and {ffn} neurons"
        raise TrainingError(f"the ticket does not fit the checkpoint, which has {sizes}; draw another") from None


def _marked(kept: Sequence[Sequence[int]], layers: int, units: int) -> Tensor:
    mask = torch.zeros(layers, units, dtype=torch.bool)
    for row, numbers in zip(mask, kept, strict=True):
        row[list(numbers)] = True
        # Fewer marks than numbers: one of them came twice.
        if not numbers or int(row.sum()) != len(numbers):
            raise ValueError("nothing is kept, or a unit twice")
    return mask


def prune(model: ElasticModel, ticket: Ticket) -> ElasticModel:
    """Cut a network in place to the units of a ticket, and return it; they compute what they did among the others."""
    # Sorted in a stable way: the kept units, which are True, come first and in their order.
    rewire(model, mask_of(ticket, model.config))
    part = ticket.slice(model.config)
    model.cut(part.heads, part.ffn)
    return model
