"""What attention reads of distances and places is what transformers computes for them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from random_models import random_classifier
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from edgebert.exporters import reference
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.family import Disentangled
from edgebert.exporters.positions import rows_of_distances, with_positions

DISTANCES = np.arange(-600, 601)


def source_of(folder: Path, family: str, **config: object) -> Checkpoint:
    random_classifier(family, **config).save_pretrained(folder)
    return read_checkpoint(folder)


@pytest.mark.parametrize("buckets", [2, 6, 16, 64, 256])
@pytest.mark.parametrize("longest", [20, 100, 256, 512, 513])
def test_debertas_distances_take_the_rows_that_transformers_gives_them(buckets: int, longest: int) -> None:
    if longest - 1 <= buckets // 2:
        pytest.skip("config.json is refused")
    attention = Disentangled(("c2p",), span=buckets, buckets=buckets, longest=longest)
    rounded = make_log_bucket_position(torch.from_numpy(DISTANCES), buckets, longest).long()
    expected = (rounded + buckets).clamp(0, 2 * buckets - 1).numpy()
    np.testing.assert_array_equal(rows_of_distances(DISTANCES, attention), expected)
    np.testing.assert_array_equal(reference.rows_of(DISTANCES, attention), expected)


def test_debertas_distances_without_buckets_are_cut() -> None:
    attention = Disentangled(("c2p",), span=5, buckets=None, longest=5)
    for rows_of in (rows_of_distances, reference.rows_of):
        assert rows_of(np.array([-9, -5, -4, 0, 4, 5, 9]), attention).tolist() == [0, 0, 1, 5, 9, 9, 9]


def test_debertas_keys_and_queries_are_stored_for_the_distances_of_the_longest_text(tmp_path: Path) -> None:
    options = {"relative_attention": True, "pos_att_type": "c2p|p2c", "position_buckets": 16}
    source = source_of(tmp_path, "deberta-v2", **options)
    assert with_positions(source, 5)["0.r.c2p"].shape == (4, 9, 12)
    found = with_positions(source, 40)
    last = int(rows_of_distances(np.array([39]), source.settings.attention)[0])
    assert found["0.r.p2c"].shape == (4, 2 * (last - 16) + 1, 12)
    # The distance of a key to a query is the negative of that of the query to the key.
    assert (found["rows.c2p"][40], found["rows.c2p"][1], found["rows.p2c"][1]) == (last - 16, 2 * (last - 16), 0)
    assert "distance" not in found


def test_mpnets_biases_stand_by_head_and_distance(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        reference.buckets(DISTANCES), MPNetEncoder.relative_position_bucket(torch.from_numpy(-DISTANCES)).numpy()
    )
    source = source_of(tmp_path, "mpnet", max_position_embeddings=300)
    found = with_positions(source, 250)["distance_bias"]
    assert found.shape == (4, 1, 500)
    buckets = MPNetEncoder.relative_position_bucket(-torch.arange(250, -250, -1)).numpy()
    np.testing.assert_array_equal(found[:, 0], source.tensors["distance_bias"][buckets].T)


def test_modernberts_turns_are_stored_once_for_each_theta(tmp_path: Path) -> None:
    source = source_of(tmp_path, "modernbert", global_rope_theta=100.0, local_rope_theta=10.0)
    found = {name: tensor for name, tensor in with_positions(source, 30).items() if name.startswith(("cos", "sin"))}
    assert {name: tensor.shape for name, tensor in found.items()} == dict.fromkeys(
        ("cos.100.0", "sin.100.0", "cos.10.0", "sin.10.0"), (30, 6)
    )
    np.testing.assert_allclose(found["sin.10.0"][29, 2], np.sin(29 * 10 ** (-2 / 6)), atol=1e-5)
