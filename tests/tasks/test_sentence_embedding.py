from typing import Any

import msgspec
import numpy as np
import pytest

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import Example
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.inputs.tokenization import Tokenizer
from edgebert.tasks.embeddings import Embeddings
from edgebert.tasks.metrics import spearman
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.tasks import task_in

SETTINGS = EmbeddingSettings("a" * 64, (6, 3), True, "cosine", {"query": "find: ", "document": ""}, None)
TASK = SentenceEmbedding((), SETTINGS)
VECTORS = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def answered(form: str = "several", **options: Any) -> Embeddings:
    asked = TASK.options(options)
    answers = TASK.answers(TASK.results({"embedding": VECTORS}, (), asked), asked)
    return TASK.shaped(answers, form, asked, ["small"] * len(answers))  # type: ignore[arg-type]


def test_answers_are_arrays_that_say_where_they_are_from() -> None:
    found = answered()
    assert (found.shape, found.dtype, found.space, found.networks) == ((8, 6), np.float32, "a" * 64, ("small",))
    np.testing.assert_array_equal(found, VECTORS)
    assert answered("text").shape == (6,)
    assert TASK.shaped([], "several", TASK.options({}), []).shape == (0, 6)


def test_vectors_are_cut_to_the_dims_that_are_asked_for() -> None:
    found = answered(dims=3)
    np.testing.assert_allclose(found * np.linalg.norm(VECTORS[:, :3], axis=1, keepdims=True), VECTORS[:, :3], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 4}, "expected dims of 6, 3, which the network was trained for, found 4; give one of these"),
        ({"dims": True}, "found True; give one of these"),
        ({"prompt_name": "x"}, "expected a prompt_name of query, document, found 'x'; give one of these, or the"),
        ({"top_k": 2}, "sentence-embedding has no option top_k; expected one of dims, prompt, prompt_name"),
    ],
)
def test_options_that_there_are_not_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgeBertError, match=message):
        TASK.options(options)


def test_prompts_stand_before_texts_as_sentence_transformers_puts_them(builtin: Bundle) -> None:
    tokenizer = Tokenizer.of(builtin)

    def ids(task: SentenceEmbedding, **options: Any) -> Any:
        asked = task.options(options)
        (one,) = task.rows("a film", tokenizer, asked)
        assert task.rows_of_all(["a film"], tokenizer, asked) == [(one,)]
        return one

    by_default = SentenceEmbedding((), msgspec.structs.replace(SETTINGS, default_prompt="query"))
    with_query = tokenizer.encode("find: a film")
    assert (
        ids(TASK) == ids(by_default, prompt="") == ids(by_default, prompt_name="document") == tokenizer.encode("a film")
    )
    assert ids(TASK, prompt_name="query") == ids(by_default) == ids(TASK, prompt="find: ") == with_query
    assert ids(TASK, prompt="find: ", prompt_name="document") == with_query  # the prompt itself goes before its name
    with pytest.raises(EdgeBertError, match="expected a text, found an empty one"):
        TASK.rows(" ", tokenizer, TASK.options({"prompt": "find: "}))


def test_quality_is_that_of_queries_by_this_network_and_documents_by_the_full_one() -> None:
    own = list(zip(VECTORS[:4], VECTORS[4:], strict=True))
    full = [(first, second[::-1]) for first, second in own]
    wanted = [0.3, 0.1, 0.9, 0.5]
    found = TASK.metrics(TASK.beside(own, full), wanted)
    assert list(found) == ["spearman_to_full", "spearman", "spearman_to_full_3", "spearman_3"]

    def right(seconds: np.ndarray, dims: int) -> float:
        pairs = zip(VECTORS[:4, :dims].astype(float), seconds[:, :dims].astype(float), strict=True)
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        return spearman(np.array(cosines), np.array(wanted))

    by_full, by_own = VECTORS[4:, ::-1], VECTORS[4:]
    assert list(found.values()) == [right(one, dims) for dims in (6, 3) for one in (by_full, by_own)]
    assert TASK.interval(TASK.beside(own, full), wanted)[0] < found["spearman_to_full"]
    assert TASK.metrics(own, wanted)["spearman_to_full"] == found["spearman"]


def test_fidelity_is_the_mean_cosine_and_how_alike_neighbours_are_put_in_order() -> None:
    assert TASK.fidelity(list(VECTORS), list(VECTORS)) == pytest.approx(1)
    assert TASK.more_fidelity(list(VECTORS), list(VECTORS)) == {"rank_agreement": pytest.approx(1)}
    assert TASK.fidelity(list(-VECTORS), list(VECTORS)) == pytest.approx(-1)
    assert TASK.more_fidelity(list(-VECTORS), list(VECTORS)) == {"rank_agreement": pytest.approx(-1)}
    pairs = list(zip(VECTORS[:4], VECTORS[4:], strict=True))
    assert TASK.fidelity(pairs, pairs) == pytest.approx(1)


def test_a_row_without_a_second_text_or_a_number_is_refused() -> None:
    with pytest.raises(EdgeBertError, match=r"x\.tsv:2: expected two texts and how alike they are, found one"):
        TASK.target(Example("a", None, "1", "x.tsv:2"))
    with pytest.raises(EdgeBertError, match=r"x\.tsv:2: expected a number as the label, found 'high'"):
        TASK.target(Example("a", "b", "high", "x.tsv:2"))


def test_vectors_of_another_space_or_size_are_not_compared() -> None:
    found = answered()
    np.testing.assert_allclose(TASK.similarity(found[0], VECTORS), (VECTORS[0] @ VECTORS.T)[None], atol=1e-6)
    with pytest.raises(EdgeBertError, match=r"expected embeddings of one space, found a{12}... and b{12}...; embed"):
        TASK.similarity(Embeddings.of(VECTORS, "b" * 64), VECTORS)
    with pytest.raises(EdgeBertError, match=r"found shapes \(8, 3\) and \(8, 6\); ask for both with the same dims"):
        TASK.similarity(answered(dims=3), VECTORS)


def test_numbers_are_written_so_that_they_are_read_as_they_were() -> None:
    cells = TASK.cells(VECTORS[0])
    np.testing.assert_array_equal(np.array(cells[0].split(), np.float32), VECTORS[0])
    assert cells == (TASK.cells(TASK.plain(VECTORS[0]))[0], "6")
    assert TASK.brief_cells(VECTORS[0]) == (" ".join(f"{one:.4f}" for one in VECTORS[0, :4]) + " ...", "6 dims")


def test_other_tasks_have_no_vectors(builtin: Bundle) -> None:
    with pytest.raises(EdgeBertError, match="expected a bundle of embeddings, found one of text-classification; use a"):
        task_in(builtin.manifest).similarity(VECTORS, VECTORS)
    manifest = msgspec.structs.replace(builtin.manifest, task="sentence-embedding")
    with pytest.raises(BundleError, match=r"expected what embeddings are like at \$.embedding for sentence-embedding"):
        task_in(manifest)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dims": (3, 6)}, "expected dims from the most down, found 3, 6 at"),
        ({"default_prompt": "x"}, "expected a prompt 'x' of"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(values: dict[str, Any], message: str, builtin: Bundle) -> None:
    settings = msgspec.structs.replace(SETTINGS, **values)
    manifest = msgspec.structs.replace(builtin.manifest, embedding=settings)
    assert next(manifest.contradictions()).startswith(message)


def test_an_output_that_is_too_short_is_refused() -> None:
    TASK.check_outputs({"embedding": VECTORS}, (8, 5))
    with pytest.raises(BundleError, match="expected an embedding of 6 dims, found 5; export the bundle again"):
        TASK.check_outputs({"embedding": VECTORS[:, :5]}, (8, 5))
