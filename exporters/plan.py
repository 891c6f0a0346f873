"""Decides which sub-networks of a checkpoint are exported."""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import get_args

import msgspec

from edgebert.elastic_manifest import Slice
from edgebert.errors import ExportError, listed
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.slices import dynabert_subnet
from edgebert.subnet import Precision, Subnet

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def plan(
    source: Checkpoint,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
) -> list[Subnet]:
    """Return the sub-networks to export, the largest first: elastic.json's slices, else a grid of widths and depths;
    the whole where neither is given.

    Raises:
        ExportError: a width, depth, precision or slice that the checkpoint does not have.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise ExportError(f"no precision '{precision}'; choose among {', '.join(PRECISIONS)}")
    precisions, elastic = list(dict.fromkeys(precisions)), source.elastic
    if elastic and elastic.subnetworks:
        subnets = [
            _checked(source, part).subnet(elastic.method, precision)
            for precision in precisions
            for part in elastic.subnetworks
        ]
    elif not (elastic or widths or depths):
        subnets = [full_subnet(source, precision) for precision in precisions]
    else:
        sizes = {"layers": source.sizes.layers, "heads": source.sizes.heads, "ffn": source.sizes.ffn}
        order = _layer_order(source)
        grid = [
            dynabert_subnet(width, depth, precision, **sizes, layer_order=order)
            for precision in precisions
            for depth in _shares("depth", depths or (elastic.depths if elastic else (1.0,)))
            for width in _shares("width", widths or (elastic.widths if elastic else (1.0,)))
        ]
        # Layers have the numbers of the model that they came from, which need not be their places.
        numbers = source.layers
        subnets = [msgspec.structs.replace(one, layers=tuple(numbers[i] for i in one.layers)) for one in grid]

    ids = [subnet.id for subnet in subnets]
    # Ids become names of files, and some disks ignore case.
    if not ids or len({subnet_id.lower() for subnet_id in ids}) != len(ids):
        found = f"expected sub-networks with different names, found {listed(ids) or 'none'}"
        raise ExportError(f"{source.path}: {found}; give each slice a name of its own in elastic.json")
    return subnets


def full_subnet(source: Checkpoint, precision: Precision) -> Subnet:
    """Return all of a checkpoint as one sub-network."""
    heads, ffn = ((size,) * len(source.layers) for size in (source.sizes.heads, source.sizes.ffn))
    return Slice(id="full", layers=source.layers, heads=heads, ffn=ffn).subnet("plain", precision)


def _layer_order(source: Checkpoint) -> tuple[int, ...]:
    """Return the order of importance of a checkpoint's layers, empty if it has none."""
    order = source.elastic.layer_order if source.elastic else ()
    if order and sorted(order) != list(range(source.sizes.layers)):
        expected = f"expected a layer_order of the layers 0 to {source.sizes.layers - 1}, each once"
        raise ExportError(f"{source.path / 'elastic.json'}: {expected}, found {list(order)}; make the checkpoint again")
    return order


def _shares(word: str, values: Sequence[float]) -> list[Fraction]:
    """Return decimal shares as exact fractions, the largest first."""
    # By its digits: 0.1 as a binary fraction is no tenth, and kept layers are counted exactly.
    for value in values:
        if not 0 < value <= 1:
            raise ExportError(f"expected a {word} above 0 and at most 1, found {value}; write 0.5 for a half")
    return sorted({Fraction(str(value)) for value in values}, reverse=True)


def _checked(source: Checkpoint, part: Slice) -> Slice:
    """Return a slice of elastic.json that the checkpoint has."""
    sizes, kept = source.sizes, len(part.layers)
    fits = (
        # It becomes the name of a file.
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", part.id) is not None
        and kept == len(part.heads) == len(part.ffn) > 0
        and list(part.layers) == [layer for layer in source.layers if layer in part.layers]
        and all(1 <= heads <= sizes.heads for heads in part.heads)
        and all(1 <= ffn <= sizes.ffn for ffn in part.ffn)
    )
    if not fits:
        numbers = f" with the layers {list(source.layers)}" if source.layers[-1] >= sizes.layers else ""
        raise ExportError(
            f"{source.path / 'elastic.json'}: {part.id} is no slice of {sizes}{numbers}; make the checkpoint again"
        )
    return part
