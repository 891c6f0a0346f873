"""The one weight file of a storage type: every width of every layer is a contiguous prefix of it.

A matrix whose outputs are cut (q, k, v, FFN-in) is stored as (outputs, inputs), one whose inputs are cut
(attention-out, FFN-out) as (inputs, outputs), so that a narrower sub-network reads fewer rows of the same bytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.bundle import Storage, WeightFile
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.quantize import quantize_rows

EMBEDDINGS = ("word", "position", "type")
_INPUTS_FIRST = ("o", "ffn_out", "pooler")
_PAGE, _CACHE_LINE = 4096, 64  # large tensors start on a page so that they can be mapped, small ones on a cache line


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
    """A written weight file, its storage type, and where each tensor lies in it."""

    file: WeightFile
    tensors: dict[str, Stored]


def layout(checkpoint: Checkpoint, dtype: Storage) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the tensors of a weight file, by name, as they are stored; int8 matrices are followed by their scales."""
    for name, tensor in checkpoint.tensors.items():
        unit = name.removesuffix(".weight").rsplit(".", 1)[-1]
        if tensor.ndim == 1 or unit == "classifier":
            yield name, tensor
        elif dtype == "fp32":
            yield name, tensor.T if unit in _INPUTS_FIRST else tensor
        else:
            rows = quantize_rows(tensor)
            yield name, rows.values.T if unit in _INPUTS_FIRST else rows.values
            # Embedding scales are gathered with their rows, so they stay a column.
            yield scale_name(name), rows.scales[:, None] if name in EMBEDDINGS else rows.scales


def scale_name(name: str) -> str:
    """Return the name of the scales that belong to an int8 matrix."""
    return f"{name.removesuffix('.weight')}.scale"


def as_stored(checkpoint: Checkpoint, dtype: Storage) -> dict[str, Array]:
    """Return the checkpoint's tensors, (outputs, inputs) in float32, with the rounding that the storage type brings."""
    if dtype == "fp32":
        return checkpoint.tensors
    return {
        name: tensor if tensor.ndim == 1 or name == "classifier.weight" else quantize_rows(tensor).dequantized()
        for name, tensor in checkpoint.tensors.items()
    }


def write_weights(checkpoint: Checkpoint, dtype: Storage, folder: Path) -> Weights:
    """Write the weight file of a storage type into a folder.

    Raises:
        ExportError: it cannot be written, for example because the disk is full.
    """
    path = folder / f"weights-{dtype}.bin"
    digest, tensors, offset = hashlib.sha256(), {}, 0
    try:
        with open(path, "wb") as file:
            for name, array in layout(checkpoint, dtype):
                content = np.ascontiguousarray(array).tobytes()
                alignment = _PAGE if len(content) >= _PAGE else _CACHE_LINE
                padding = bytes(-offset % alignment)
                file.write(padding + content)
                digest.update(padding + content)
                tensors[name] = Stored(array.dtype, array.shape, offset + len(padding))
                offset += len(padding) + len(content)
    except OSError as problem:
        raise ExportError(f"cannot write {path.name}: {problem.strerror}; make room or choose another --out") from None
    return Weights(WeightFile(file=path.name, dtype=dtype, size_bytes=offset, sha256=digest.hexdigest()), tensors)
