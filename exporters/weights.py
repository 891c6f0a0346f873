"""The one weight file of a storage type: every width of every layer is a contiguous prefix of it.

A matrix whose outputs are cut (q, k, v, FFN-in and its gate) is stored as (outputs, inputs), one whose inputs are cut
(attention-out, FFN-out) as (inputs, outputs), so that a narrower sub-network reads fewer rows of the same bytes.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgebert import records
from edgebert.errors import ExportError, cause_of
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.family import Sizes
from edgebert.exporters.pieces import ends_of_pieces
from edgebert.exporters.positions import with_positions
from edgebert.exporters.quantize import QuantizedRows, check_fits_half, quantize_rows
from edgebert.inputs.graph_file import Reference
from edgebert.inputs.manifest import FileRef, WeightFile
from edgebert.inputs.pieces import Pieces
from edgebert.subnet import Storage, Subnet

_OUTPUTS_FIRST = ("q", "k", "v", "ffn_in", "ffn_gate")
# Small, or read at export alone: rounding them would save nothing and cost an operator more. So are tables but that of
# words, and what attention reads beside the units.
_IN_FLOAT = ("classifier", "r", "distance_k", "distance_q")
_DENSE = "dense_"  # begins the names of the layers behind the pooling of embeddings
# Large tensors start on a page, so that they can be mapped, small ones on a cache line.
_PAGE, _CACHE_LINE = 4096, 64


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in its weight file; a prefix of its rows starts at the same offset."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    def prefix(self, rows: int | None) -> "Stored":
        """Return the first rows of this tensor, all of them for None."""
        return self if rows is None else Stored(self.dtype, (rows, *self.shape[1:]), self.offset)

    @property
    def size_bytes(self) -> int:
        """The bytes that the tensor takes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True)
class Weights:
    """A written weight file, and where each tensor of a checkpoint lies in it."""

    file: WeightFile
    tensors: dict[str, Stored]


def unit_of(name: str) -> str:
    """Return the unit that a tensor belongs to, without its layer: ffn_in for 3.ffn_in.weight."""
    return name.removesuffix(".weight").removesuffix(".bias").rsplit(".", 1)[-1]


def scale_name(name: str) -> str:
    """Return the name of the scales that belong to an int8 matrix."""
    return f"{name.removesuffix('.weight')}.scale"


def is_outputs_first(unit: str) -> bool:
    """Return whether a unit's matrix is stored as (outputs, inputs): it is if its outputs are cut."""
    return unit_of(unit) in _OUTPUTS_FIRST


def _is_matrix(name: str, tensor: NDArray[Any]) -> bool:
    """Return whether a tensor is a matrix that int8 rounds."""
    return (name == "word" or (name.endswith(".weight") and tensor.ndim > 1)) and not _stays_float(name)


def _stays_float(name: str) -> bool:
    return unit_of(name) in _IN_FLOAT or name.startswith(_DENSE)


def _halved(name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor as fp16 stores it.

    Raises:
        ExportError: it has numbers that float16 does not hold.
    """
    if tensor.dtype != np.float32 or _stays_float(name):
        return tensor
    check_fits_half(tensor, f"weights of {name}")
    return tensor.astype(np.float16)


def prepared(source: Checkpoint, max_length: int, *, token_types: bool) -> dict[str, NDArray[Any]]:
    """Return a checkpoint's tensors as graphs read them.

    The position table holds a row for each token of the longest text, behind that of padding where it has one; where
    token types are not told apart, the type that all tokens have is part of it, or all that is left of the table of
    types. Attention gets what depends on no text.
    """
    tensors = with_positions(source, max_length)
    first, skipped = source.settings.first_position, int(source.settings.padding is not None)
    if "position" in tensors:
        tensors["position"] = tensors["position"][first - skipped :][: max_length + skipped]
    if "type" in tensors and not token_types:
        only = tensors.pop("type")[:1]
        # Fewer operators and fewer roundings for single texts (docs/log.md).
        name = "position" if "position" in tensors else "type"
        tensors[name] = tensors[name] + only if name in tensors else only
    return tensors


def layout(
    tensors: Mapping[str, NDArray[Any]], dtype: Storage, *, reduce_range: bool = False
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the tensors of a weight file, by name, as they are stored; int8 matrices are followed by their scales."""
    # What is cut becomes the rows, so that a narrower network reads a prefix; the rest lies as MatMul takes it.
    for name, tensor in tensors.items():
        is_matrix = _is_matrix(name, tensor)
        transposed = is_matrix and unit_of(name) not in (*_OUTPUTS_FIRST, "word")
        rows = _rounded(name, tensor, reduce_range) if is_matrix and dtype == "int8" else None
        values: NDArray[Any] = _halved(name, tensor) if dtype == "fp16" else tensor if rows is None else rows.values
        yield name, values.T if transposed else values
        if rows is not None:
            # The scales of words are gathered with their rows, so they stay a column.
            yield scale_name(name), rows.scales[:, None] if name == "word" else rows.scales


def as_stored(source: Checkpoint, dtype: Storage, *, reduce_range: bool = False) -> dict[str, Array]:
    """Return the checkpoint's tensors, (outputs, inputs) in float32, rounded as the storage type rounds them."""
    if dtype == "fp32":
        return source.tensors
    # The reference computes with these, so that a graph that differs from it is wrong, not rounded. Tensors that layers
    # share are rounded once: they would fill the memory.
    rounded: dict[int, Array] = {}
    for name, tensor in source.tensors.items():
        if dtype == "fp16" and id(tensor) not in rounded:
            rounded[id(tensor)] = _halved(name, tensor).astype(np.float32, copy=False)
        elif _is_matrix(name, tensor) and id(tensor) not in rounded:
            rounded[id(tensor)] = _rounded(name, tensor, reduce_range).dequantized()
    return {name: rounded.get(id(tensor), tensor) for name, tensor in source.tensors.items()}


def _rounded(name: str, tensor: Array, reduce_range: bool) -> QuantizedRows:
    """Return a matrix in int8: of 7 bits, if asked for, where it is one of a product."""
    return quantize_rows(tensor, reduce_range=reduce_range and name != "word")


def rows_read(subnets: Sequence[Subnet], sizes: Sizes) -> dict[str, int]:
    """Return how many heads' dimensions or neurons the widest of some sub-networks reads, by unit: 3.ffn_in."""
    # What none of them reads is not stored, such as the zeros of a ticket.
    rows: dict[str, int] = {}
    for subnet in subnets:
        for layer, heads, ffn in zip(subnet.layers, subnet.heads, subnet.ffn, strict=True):
            read = dict.fromkeys("qkvo", heads * sizes.head_size) | dict.fromkeys(
                ("ffn_in", "ffn_gate", "ffn_out"), ffn
            )
            rows |= {f"{layer}.{unit}": max(n, rows.get(f"{layer}.{unit}", 0)) for unit, n in read.items()}
    if sizes.groups:
        # Layers that share weights read as much of them as the widest, so that these are stored once.
        widest = {unit: max(n for name, n in rows.items() if unit_of(name) == unit) for unit in map(unit_of, rows)}
        rows = {name: widest[unit_of(name)] for name in rows}
    return rows


class WeightWriter:
    """Writes a weight file: tensors are appended to it; one that it holds already is not stored again."""

    def __init__(self, folder: Path, dtype: Storage, *, reduce_range: bool = False):
        self._path, self._dtype, self._reduce_range = folder / f"weights-{dtype}.bin", dtype, reduce_range
        self._offsets: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def add(self, tensors: Mapping[str, NDArray[Any]], rows: Mapping[str, int] | None = None) -> Weights:
        """Append a checkpoint's tensors; return where they lie, and the file as it is now.

        `rows` are those that are read of units whose outputs or inputs are cut, where that is not all of them.

        Raises:
            ExportError: it cannot be written, for example because the disk is full.
        """
        try:
            with open(self._path, "ab") as file:
                places = {}
                for name, whole in layout(tensors, self._dtype, reduce_range=self._reduce_range):
                    array = _read(name, whole, rows or {})
                    places[name] = Stored(array.dtype, array.shape, self._place(array, file))
        except OSError as problem:
            what = f"cannot write {self._path.name}: {cause_of(problem)}"
            raise ExportError(f"{what}; make room or choose another --out") from None
        return Weights(_described(self._path, self._dtype), places)

    def described(self, used: Sequence[Sequence[Reference]]) -> WeightFile:
        """Return the file as it is now, in pieces cut by what each graph uses of it and of others."""
        own = [[part for part in parts if part.file == self._path.name] for parts in used]
        return _described(self._path, self._dtype, own)

    def _place(self, array: NDArray[Any], file: BinaryIO) -> int:
        """Return the offset of an array's bytes, which are written if the file does not hold them."""
        content = np.ascontiguousarray(array).tobytes()
        # By content: sub-networks and checkpoints that share a tensor share its bytes. And by shape, since each graph
        # says how many bytes it reads.
        key = array.dtype.str, array.shape, hashlib.sha256(content).digest()
        if key not in self._offsets:
            alignment = _PAGE if len(content) >= _PAGE else _CACHE_LINE
            file.write(bytes(-file.tell() % alignment))
            self._offsets[key] = file.tell()
            file.write(content)
        return self._offsets[key]


def _read(name: str, array: NDArray[Any], rows: Mapping[str, int]) -> NDArray[Any]:
    """Return the part of a stored tensor that is read; where inputs are cut, biases and scales have all rows."""
    unit, part = name.rsplit(".", 1) if "." in name else (name, "")
    return array[: rows[unit]] if unit in rows and (is_outputs_first(unit) or part == "weight") else array


def _described(path: Path, dtype: Storage, used: Sequence[Sequence[Reference]] = ()) -> WeightFile:
    """Return a weight file with its hashes; where its pieces end, and theirs, are written into a file beside it."""
    size_bytes = path.stat().st_size
    ends = ends_of_pieces(used, size_bytes)
    # Piece by piece: a weight file may be larger than the memory.
    whole, digests = hashlib.sha256(), []
    with open(path, "rb") as file:
        for start, end in itertools.pairwise([0, *ends]):
            piece = file.read(end - start)
            whole.update(piece)
            digests.append(hashlib.sha256(piece).digest())

    beside, content = path.with_suffix(".pieces"), Pieces(ends, digests).content()
    records.write_bytes(beside, content, ExportError)
    return WeightFile(
        file=path.name,
        dtype=dtype,
        size_bytes=size_bytes,
        sha256=whole.hexdigest(),
        pieces=FileRef.of(beside.name, content),
    )
