"""Vectors of texts that say where they are from, and how alike two of them are. Knows nothing about networks."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import EdgeBertError

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Vectors = NDArray[np.float32]

_JOINING: tuple[Callable[..., Any], ...] = (np.concatenate, np.vstack, np.stack)
_LEAST_LENGTH = 1e-12  # as torch's normalize has it, so that a vector of zeros is no division by zero


class Embeddings(np.ndarray):
    """Vectors (texts, dims) float32, or one of them (dims,), of one `space`, made by `networks`.

    `networks` are the ids of the sub-networks that made them, none where that is not known; `space` is None where it is
    not. What is cut out of an array of these, and several arrays joined, say where they are from too. Vectors of two
    spaces are neither compared nor joined.
    """

    space: str | None
    networks: tuple[str, ...]

    @classmethod
    def of(cls, vectors: Vectors, space: str | None, networks: Sequence[str] = ()) -> "Embeddings":
        """Return vectors that say where they are from; each network is named once."""
        found: Embeddings = vectors.view(cls)
        found.space, found.networks = space, tuple(dict.fromkeys(networks))
        return found

    def __array_finalize__(self, source: object) -> None:
        self.space, self.networks = getattr(source, "space", None), getattr(source, "networks", ())

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        # numpy joins arrays of a class of their own into a plain one.
        found = super().__array_function__(func, types, args, kwargs)
        if func not in _JOINING:
            return found
        parts = [part for part in args[0] if isinstance(part, Embeddings)]
        return Embeddings.of(found, common_space(*parts), [name for part in parts for name in part.networks])

    def __reduce__(self) -> Any:
        make, arguments, state = cast(tuple[Any, ...], super().__reduce__())
        return make, arguments, (state, self.space, self.networks)

    def __setstate__(self, state: Any) -> None:
        array, self.space, self.networks = state
        super().__setstate__(array)


def common_space(*vectors: object, space: str | None = None) -> str | None:
    """Return the space of all that say of which they are, and of `space` if it is given; None if nothing says it.

    Raises:
        EdgeBertError: they are of two.
    """
    spaces = [space, *(one.space for one in vectors if isinstance(one, Embeddings))]
    known = dict.fromkeys(one for one in spaces if one is not None)
    if len(known) > 1:
        first, other, *_ = (one[:12] for one in known)
        advice = "embed all texts with bundles of one checkpoint"
        raise EdgeBertError(f"expected embeddings of one space, found {first}... and {other}...; {advice}")
    return next(iter(known), None)


def unit(vectors: Vectors) -> Vectors:
    """Return vectors (..., dims) of length 1 in the same directions."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST_LENGTH))


def cut(vectors: Vectors, dims: int, *, is_normalized: bool) -> Vectors:
    """Return the first dimensions of vectors (..., dims), of length 1 again where they were."""
    if vectors.shape[-1] == dims:
        return vectors
    return unit(vectors[..., :dims]) if is_normalized else vectors[..., :dims]


def pairwise(similarity: Similarity, first: Vectors, second: Vectors) -> Vectors:
    """Return how alike each vector (..., dims) is to the one at its place among others: higher is more."""
    match similarity:
        case "cosine":
            return np.asarray((unit(first) * unit(second)).sum(axis=-1))
        case "dot":
            return np.asarray((first * second).sum(axis=-1))
        case "euclidean":
            return np.asarray(-np.linalg.norm(first - second, axis=-1))
        case "manhattan":
            return np.asarray(-np.abs(first - second).sum(axis=-1))


def similarities(similarity: Similarity, first: Vectors, second: Vectors) -> Vectors:
    """Return how alike every vector of (texts, dims) is to every one of (others, dims), as (texts, others)."""
    if similarity == "cosine":
        first, second = unit(first), unit(second)
    if similarity in ("cosine", "dot"):
        return np.asarray(first @ second.T)
    # One by one: all differences at once may not fit into memory.
    rows = [pairwise(similarity, one, second) for one in first]
    return np.stack(rows) if rows else np.empty((0, len(second)), np.float32)
