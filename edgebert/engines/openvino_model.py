"""Reads a bundle's graphs as models of OpenVINO and rewrites them into what its compiler makes most of.

The modules of OpenVINO are arguments, since importing them takes long.
"""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.inputs.graph_file import in_memory, references

# What graphs do with constants before they use them, such as the matrices of q, k and v side by side. OpenVINO takes a
# matrix for one of int8 only where nothing is between its numbers and their scales.
_FOLDED = ("Transpose", "Concat")


def read(core: Any, constant: Callable[[Any], Any], graph: bytes, weights: Path) -> tuple[Any, mmap.mmap]:
    """Return the model of a graph, each matrix of it one constant, and the mapped weight file that it reads from."""
    mapped = _mapped(graph, weights)
    model = core.read_model(in_memory(graph, np.frombuffer(mapped, np.uint8).ctypes.data))
    _fold(model, constant)
    return model, mapped


def rows_of_tables(model: Any) -> dict[str, int]:
    """Return how many rows the smallest table has that is read by numbers of an input, by the input's name."""
    rows: dict[str, int] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gather":
            numbers = _source(node, 1)
            while numbers.get_type_name() == "Convert":
                numbers = _source(numbers, 0)
            if numbers.get_type_name() == "Parameter":
                name, size = numbers.output(0).any_name, node.input(0).get_source_output().get_shape()[0]
                rows[name] = min(size, rows.get(name, size))
    return rows


def per_token(model: Any) -> set[str]:
    """Return the names of the outputs that have a value for each token: (batch, length, ...)."""
    outputs = ((value.any_name, value.get_partial_shape()) for value in model.outputs)
    return {name for name, shape in outputs if len(shape) > 1 and shape[1].is_dynamic}


def split_products(model: Any, operators: Any) -> None:
    """Make products that are cut into parts, as those of q, k and v are, into one product for each part.

    OpenVINO copies the parts, which takes longer than several products where their shapes are fixed.
    """
    for split in model.get_ordered_ops():
        if split.get_type_name() != "VariadicSplit" or _source(split, 0).get_type_name() != "Add":
            continue
        product, bias = (_source(_source(split, 0), place) for place in (0, 1))
        if product.get_type_name() != "MatMul":
            product, bias = bias, product
        quantised = _quantised(_source(product, 1))
        if quantised is None or bias.get_type_name() != "Constant":
            continue
        ends = np.cumsum(_source(split, 2).data)[:-1]
        columns = (np.split(values, ends, axis=-1) for values in (*quantised, bias.data))
        for place, part in enumerate(zip(*columns, strict=True)):
            numbers, scales, added = (operators.constant(np.ascontiguousarray(values)) for values in part)
            matrix = operators.multiply(operators.convert(numbers, "f32"), scales)
            own_product = operators.matmul(product.input(0).get_source_output(), matrix, False, False)
            split.output(place).replace(operators.add(own_product, added).output(0))


def _quantised(node: Any) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Return the int8 numbers of a matrix and the scales of its columns, (1, columns); None if it is no such."""
    if node.get_type_name() != "Multiply" or _source(node, 0).get_type_name() != "Convert":
        return None
    numbers, scales = _source(_source(node, 0), 0), _source(node, 1)
    if scales.get_type_name() == "Reshape":
        scales = _source(scales, 0)
    if not numbers.get_type_name() == scales.get_type_name() == "Constant":
        return None
    one_each = scales.data.size == numbers.data.shape[-1]
    return (numbers.data, scales.data.reshape(1, -1)) if one_each else None


def _mapped(graph: bytes, weights: Path) -> mmap.mmap:
    """Return the weight file that a graph refers into, mapped and not copied."""
    (name,) = {reference.file for reference in references(graph, "the graph")}
    with open(weights / name, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _fold(model: Any, constant: Callable[[Any], Any]) -> None:
    """Compute what a model's graph makes of constants alone, so that each matrix is one constant of int8."""
    for node in model.get_ordered_ops():
        sources = [value.get_source_output().get_node() for value in node.inputs()]
        if node.get_type_name() in _FOLDED and all(one.get_type_name() == "Constant" for one in sources):
            first, *others = (one.data for one in sources)
            if node.get_type_name() == "Transpose":
                folded = np.ascontiguousarray(first.transpose(*others))
            else:
                folded = np.concatenate([first, *others], node.get_attributes()["axis"])
            node.output(0).replace(constant(folded).output(0))


def _source(node: Any, place: int) -> Any:
    """Return the node that an input of another comes from."""
    return node.input(place).get_source_output().get_node()
