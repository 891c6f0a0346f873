import pickle

import numpy as np
import pytest

from edgebert.errors import EdgeBertError
from edgebert.tasks.embeddings import Embeddings, cut, pairwise, similarities

SPACE, OTHER = "a" * 64, "b" * 64
VECTORS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def of(space: str | None = SPACE, network: str = "small") -> Embeddings:
    return Embeddings.of(VECTORS, space, [network, network])


def test_parts_copies_and_pickles_say_where_they_are_from() -> None:
    for found in (of()[1:], of()[0], of().copy(), of() * 2, pickle.loads(pickle.dumps(of()))):
        assert (found.space, found.networks) == (SPACE, ("small",))
        assert found.dtype == np.float32


@pytest.mark.parametrize("join", [np.concatenate, np.vstack, np.stack])
def test_joined_vectors_say_where_all_are_from(join: object) -> None:
    found = join([of(), VECTORS, of(network="large")])  # type: ignore[operator]
    assert (type(found), found.space, found.networks) == (Embeddings, SPACE, ("small", "large"))


def test_vectors_of_two_spaces_are_not_joined() -> None:
    with pytest.raises(
        EdgeBertError, match=r"expected embeddings of one space, found a{12}... and b{12}...; embed all"
    ):
        np.concatenate([of(), of(OTHER)])


def test_vectors_that_are_cut_have_length_1_where_they_had() -> None:
    np.testing.assert_allclose(np.linalg.norm(cut(VECTORS, 3, is_normalized=True), axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(cut(VECTORS, 3, is_normalized=False), VECTORS[:, :3])
    assert cut(VECTORS, 6, is_normalized=True) is VECTORS


@pytest.mark.full
@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_are_those_of_sentence_transformers(name: str) -> None:
    from sentence_transformers import util

    kind = util.SimilarityFunction(name)
    first, second = VECTORS[:2], VECTORS[1:]
    expected = util.SimilarityFunction.to_similarity_fn(kind)(first, second).numpy()
    np.testing.assert_allclose(similarities(name, first, second), expected, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]
    expected = util.SimilarityFunction.to_similarity_pairwise_fn(kind)(first, second[:2]).numpy()
    np.testing.assert_allclose(pairwise(name, first, second[:2]), expected, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]
