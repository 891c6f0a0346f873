"""What attention needs to know of places and distances and no text changes: computed once, at export.

XLNet (Dai et al. 2019, Transformer-XL, and Yang et al. 2019): a token at place i gives to the one at place j the score

    (q_i + content) k_j + (q_i + position) r(i - j) + (q_i + segment) s, all divided by the root of the head size,

where r(i - j) is the key of a distance and s one of two vectors: for two tokens of one segment, or of different ones.
Softmax does not see what all j have in common, so only the difference of the two vectors is kept, and added where the
segments differ.

DeBERTa (He et al. 2021): the score is, with the key K and the query Q of a distance,

    q_i k_j + q_i K(i - j) + k_j Q(i - j), all divided by the root of the head size times the number of these terms.

MPNet (Song et al. 2020) adds a number of each head to q_i k_j, by distance; ModernBERT turns q and k by their places.
What is by distance goes from that of the longest text down to 1 less than its negative (attentions/distances.py).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.family import Biased, ByDistance, Disentangled, Rotary

Numbers = NDArray[np.int64]
# MPNet's: to distances above the farthest it adds the same as to that.
_FARTHEST = 128


def with_positions(source: Checkpoint, max_length: int) -> dict[str, NDArray[Any]]:
    """Return a checkpoint's tensors, those of places and distances as graphs read them, for texts of at most so many
    tokens."""
    # At export: on the device these products would be made again for every request.
    match source.settings.attention:
        case ByDistance(longest):
            return _with_keys_and_segments(source, max_length, longest)
        case Biased():
            return _with_biases(source, max_length)
        case Rotary(thetas):
            return _with_turns(source, max_length, thetas)
        case Disentangled() as attention:
            return _with_keys_and_queries(source, max_length, attention)
        case None:
            return dict(source.tensors)


def _with_keys_and_segments(source: Checkpoint, max_length: int, longest: int | None) -> dict[str, Array]:
    """Return XLNet's tensors.

    For each layer, with a row for each head and divided by the root of the head size: `r.keys` (heads, head size,
    2 * max_length) of the distances; `r.segment` (heads, head size, 1) and `r.segment_offset` (heads, 1, 1), so that
    (q + position) segment + offset is what differing segments add. The biases are (hidden,).
    """
    tensors, sizes, distances = dict(source.tensors), source.sizes, _distances(max_length)
    if longest is not None:
        distances = distances.clip(-longest, longest)
    waves, scale = _waves(distances, sizes.hidden), np.float32(sizes.head_size**-0.5)
    for layer in source.layers:
        name = f"{layer}.r"
        keys = waves @ tensors.pop(f"{name}.weight").T
        content, position, segment = (tensors.pop(f"{name}.{kind}_bias") for kind in ("content", "position", "segment"))
        same, different = tensors.pop(f"{name}.segments")
        change = scale * (different - same)
        tensors |= {
            f"{name}.content_bias": content.ravel(),
            f"{name}.position_bias": position.ravel(),
            f"{name}.keys": scale * keys.reshape(len(waves), sizes.heads, -1).transpose(1, 2, 0),
            f"{name}.segment": change[:, :, None],
            f"{name}.segment_offset": ((segment - position) * change).sum(axis=1)[:, None, None],
        }
    return tensors


def _with_biases(source: Checkpoint, max_length: int) -> dict[str, Array]:
    """Return MPNet's tensors, with `distance_bias` (heads, 1, 2 * max_length) in place of its table."""
    tensors, distances = dict(source.tensors), _distances(max_length)
    half = source.sizes.distances // 2  # the buckets of either direction
    exact, far = half // 2, np.abs(distances)
    # In float32, as transformers computes it: at powers of two the last bit decides.
    ratio = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(_FARTHEST / exact))
    rounded = exact + (ratio * np.float32(half - exact)).astype(np.int64)
    buckets = np.where(far < exact, far, np.minimum(rounded, half - 1)) + half * (distances < 0)
    return tensors | {"distance_bias": tensors["distance_bias"][buckets].T[:, None]}


def _with_turns(source: Checkpoint, max_length: int, thetas: tuple[float, ...]) -> dict[str, Array]:
    """Return ModernBERT's tensors, with a `cos` and a `sin` (max_length, head size / 2) of the angles by which a place
    turns, for each theta (Su et al. 2021)."""
    tensors, size = dict(source.tensors), source.sizes.head_size
    for theta in set(thetas):
        # In float32, as transformers computes them.
        frequencies = 1 / np.float32(theta) ** (np.arange(0, size, 2, dtype=np.float32) / size)
        angles = np.arange(max_length, dtype=np.float32)[:, None] * frequencies
        tensors |= {f"cos.{theta}": np.cos(angles), f"sin.{theta}": np.sin(angles)}
    return tensors


def _with_keys_and_queries(source: Checkpoint, max_length: int, attention: Disentangled) -> dict[str, NDArray[Any]]:
    """Return DeBERTa's tensors.

    For each layer `r.c2p` and `r.p2c` (heads, rows, head size), the keys and the queries of the distances that there
    are, divided as the scores are; for all of them `rows.c2p` and `rows.p2c` (2 * max_length,) int64, the rows of the
    distances of a query to a key, and of a key to a query.
    """
    tensors: dict[str, NDArray[Any]] = dict(source.tensors)
    distances, sizes = _distances(max_length), source.sizes
    # Those that do not occur within texts are next to those that do.
    first, last = (
        rows_of_distances(np.array([distance]), attention)[0] for distance in (1 - max_length, max_length - 1)
    )
    for term, of in (("c2p", distances), ("p2c", -distances)):
        if term in attention.terms:
            tensors[f"rows.{term}"] = np.clip(rows_of_distances(of, attention), first, last) - first

    table = tensors.pop("distance")[first : last + 1]
    if "distance_norm.weight" in tensors:
        table = _normed(table, tensors.pop("distance_norm.weight"), tensors.pop("distance_norm.bias"), source)
    scale = np.float32((sizes.head_size * (1 + len(attention.terms))) ** -0.5)
    for layer in source.layers:
        for term, unit in (("c2p", "k"), ("p2c", "q")):
            if term not in attention.terms:
                continue
            # Where layers have no weights for distances, those for tokens serve both.
            own = f"{layer}.distance_{unit}"
            name = own if f"{own}.weight" in tensors else f"{layer}.{unit}"
            vectors = table @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
            tensors[f"{layer}.r.{term}"] = scale * vectors.reshape(len(table), sizes.heads, -1).swapaxes(0, 1)
            for kind in ("weight", "bias"):
                tensors.pop(f"{own}.{kind}", None)
    return tensors


def rows_of_distances(distances: Numbers, attention: Disentangled) -> Numbers:
    """Return the rows that distances have in DeBERTa's table (2 * span, hidden)."""
    rounded = distances
    if attention.buckets is not None:
        # In float32, as transformers computes it.
        half = attention.buckets // 2
        far = np.maximum(np.abs(distances), half).astype(np.float32) / np.float32(half)
        whole = np.log(np.float32((attention.longest - 1) / half))
        with np.errstate(all="ignore"):  # where the texts are so short that all are below the half
            logarithms = np.ceil(np.log(far) / whole * np.float32(half - 1)) + half
        rounded = np.where(np.abs(distances) <= half, distances, (logarithms * np.sign(distances)).astype(np.int64))
    return np.clip(rounded + attention.span, 0, 2 * attention.span - 1)


def _normed(table: Array, weight: Array, bias: Array, source: Checkpoint) -> Array:
    """Return the layer norm of the rows of a table."""
    mean, variance = table.mean(axis=1, keepdims=True), table.var(axis=1, keepdims=True)
    scaled = (table - mean) / np.sqrt(variance + np.float32(source.settings.layer_norm_eps))
    return np.asarray(scaled * weight + bias, np.float32)


def _distances(max_length: int) -> Numbers:
    return np.arange(max_length, -max_length, -1)


def _waves(distances: Numbers, hidden: int) -> Array:
    """Return sines, then cosines, (distances, hidden) of distances at falling frequencies (Vaswani et al. 2017)."""
    angles = distances[:, None] / 10_000 ** (np.arange(0, hidden, 2) / hidden)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
