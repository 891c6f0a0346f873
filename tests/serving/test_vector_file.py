from pathlib import Path

import numpy as np
import pytest

from edgebert.choosing.selection import Budget
from edgebert.errors import EdgeBertError
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.serving.answer_file import opened
from edgebert.serving.answer_origin import AnswerOrigin
from edgebert.serving.vector_file import read_embeddings
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.tasks import DEFAULT_TASK
from profiles import way

SPACE = "a" * 64
TASK = SentenceEmbedding((), EmbeddingSettings(SPACE, (6, 3), True, "cosine", {}, None))
TEXTS = [f"text {number}" for number in range(5)]
VECTORS = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def origin(**options: object) -> AnswerOrigin:
    given = {"dims": None, "prompt": None, "prompt_name": None, **options}
    return AnswerOrigin(2, "0.1.0", "ab" * 32, SPACE, "small", way(), Budget(length=128), given)


def go_on(path: Path, most: int = 5, texts: list[str] = TEXTS, **options: object) -> int:
    """Write what is not there yet of the first vectors, and return how many were kept."""
    with opened(path, iter(texts), TASK, origin(**options)) as out:
        kept = out.lines
        out.append(list(zip(texts, VECTORS, strict=False))[kept:most])
    return kept


def test_vectors_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert go_on(tmp_path / "v.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), VECTORS)
    found = read_embeddings(tmp_path / "v.npy")
    np.testing.assert_array_equal(found, VECTORS)
    assert (found.space, found.networks) == (SPACE, ("small",))
    assert go_on(tmp_path / "v.npy") == 5


@pytest.mark.parametrize("size_bytes", [0, 50, 128, 128 + 23, 128 + 24 * 2, 128 + 24 * 4 + 1])
def test_a_file_that_was_cut_off_anywhere_becomes_whole(size_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    go_on(path)
    path.write_bytes(path.read_bytes()[:size_bytes])
    assert go_on(path) == max(0, size_bytes - 128) // 24
    np.testing.assert_array_equal(np.load(path), VECTORS)


def test_what_is_written_so_far_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    go_on(path, most=2)
    np.testing.assert_array_equal(np.load(path), VECTORS[:2])
    hashes = tmp_path / ".v.npy.texts"
    hashes.write_bytes(hashes.read_bytes()[:12])  # as of a kill before all of them were written
    assert go_on(path) == 1
    np.testing.assert_array_equal(np.load(path), VECTORS)


def test_vectors_of_other_texts_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    go_on(path, most=3)
    before = path.read_bytes()
    for texts in (["another", *TEXTS[1:]], TEXTS[:2]):
        with pytest.raises(EdgeBertError, match=r"v.npy: row \d is the vector of another text; it is not of these"):
            go_on(path, texts=texts)
    with pytest.raises(EdgeBertError, match=r"v.npy was begun with dims None \(now 3\); give the same options"):
        go_on(path, dims=3)
    assert path.read_bytes() == before


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    path.write_bytes(b"something else")
    (tmp_path / ".v.npy.edgebert").write_bytes(b"{}")
    with pytest.raises(EdgeBertError):
        go_on(path)
    assert path.read_bytes() == b"something else"
    assert not (tmp_path / ".v.npy.texts").exists()


def test_who_fails_before_the_first_vector_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(tmp_path / "v.npy", iter(TEXTS), TASK, origin()) as out:
        out.append((text, VECTORS[1 // 0]) for text in TEXTS)
    assert list(tmp_path.iterdir()) == []


def test_only_embeddings_are_written_so(tmp_path: Path) -> None:
    given = AnswerOrigin(2, "0.1.0", "ab" * 32, None, "small", way(), Budget(length=128), {})
    with (
        pytest.raises(EdgeBertError, match=r".npy is for embeddings, found text-classification; name a file that ends"),
        opened(tmp_path / "v.npy", iter(TEXTS), DEFAULT_TASK(("a", "b")), given),
    ):
        pass


def test_other_files_are_read_without_a_space_or_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    assert read_embeddings(tmp_path / "v.npy").space is None
    np.save(tmp_path / "w.npy", VECTORS.astype(np.float64))
    with pytest.raises(EdgeBertError, match=r"expected vectors .texts, dims. in float32, found something else"):
        read_embeddings(tmp_path / "w.npy")
    (tmp_path / "x.npy").write_text("x")
    with pytest.raises(EdgeBertError, match=r"x.npy holds no vectors"):
        read_embeddings(tmp_path / "x.npy")
    with pytest.raises(EdgeBertError, match=r"cannot read .*none.npy: .*; check the path"):
        read_embeddings(tmp_path / "none.npy")
