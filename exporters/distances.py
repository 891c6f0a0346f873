"""What attention by distance needs and no text changes: computed once, at export.

A token at place i gives to the one at place j the score (Dai et al. 2019, Transformer-XL, and Yang et al. 2019, XLNet)

    (q_i + content) k_j + (q_i + position) r(i - j) + (q_i + segment) s, all divided by the root of the head size,

where r(i - j) is the key of a distance and s one of two vectors: for two tokens of one segment, or of different ones.
Softmax does not see what all j have in common, so only the difference of the two vectors is kept, and added where the
segments differ.
"""

import numpy as np

from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.family import ByDistance


def with_distances(source: Checkpoint, max_length: int) -> dict[str, Array]:
    """Return a checkpoint's tensors, those of distances and segments as graphs read them, for texts of at most so many
    tokens.

    For each layer, with a row for each head and divided by the root of the head size: `r.keys` (heads, head size,
    2 * max_length) of the distances from max_length down to 1 - max_length; `r.segment` (heads, head size, 1) and
    `r.segment_offset` (heads, 1, 1), so that (q + position) segment + offset is what differing segments add. The biases
    are (hidden,).
    """
    # At export: on the device these products would be made again for every request.
    attention = source.settings.attention
    assert isinstance(attention, ByDistance)
    tensors, sizes, longest = dict(source.tensors), source.sizes, attention.longest_distance
    distances = np.arange(max_length, -max_length, -1)
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


def _waves(distances: np.typing.NDArray[np.int64], hidden: int) -> Array:
    """Return sines, then cosines, (distances, hidden) of distances at falling frequencies (Vaswani et al. 2017)."""
    angles = distances[:, None] / 10_000 ** (np.arange(0, hidden, 2) / hidden)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
