"""Networks that embed texts: their vectors are sentence-transformers', and they learn from texts alone."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch.nn import functional
from toys import BAD, GOOD, PLAIN, SIZES

from edgebert.elastic.checkpoint import load_elastic
from edgebert.elastic.dynabert.method import DynaBertSettings, train
from edgebert.elastic.embedding_data import embedding_task, read_sentence_layers, texts_to_distil, without_held_out
from edgebert.elastic.embeddings import EmbeddingLosses, similarity_loss
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.exporters.sentence_folder import is_sentence_folder

HIDDEN = SIZES["hidden_size"]
Make = Callable[..., Path]
WORDS = [*GOOD, *BAD, *PLAIN]


@pytest.fixture
def sentence_folder(make_checkpoint: Make, tmp_path: Path) -> Path:
    """A random network with a pooling, a linear layer and a norm behind it, as sentence-transformers writes it."""
    network = Transformer(str(make_checkpoint("headless", "network")), max_seq_length=20)
    torch.manual_seed(3)
    modules = [network, Pooling(HIDDEN), Dense(HIDDEN, 24), Normalize()]
    folder = tmp_path / "sentences"
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


def some_texts(count: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(2, 8))) for _ in range(count)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in some_texts(200)))
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs of texts, and which share of their words they have in common."""
    path, found = tmp_path / "pairs.tsv", ["text\tpair\tlabel"]
    for one, other in zip(some_texts(40, seed=1), some_texts(40, seed=2), strict=True):
        first, second = set(one.split()), set(other.split())
        found.append(f"{one}\t{other}\t{len(first & second) / len(first | second):.3f}")
    path.write_text("\n".join(found) + "\n")
    return path


def run(files: TrainingFiles, dims: tuple[int, ...] | None = (8,)) -> TrainingResult:
    settings = DynaBertSettings(epochs=2, learning_rate=1e-3, widths=(0.5, 1.0), depths=(0.5, 1.0))
    return train(files, settings, RunOptions(compute="fp32", task=TaskChoice(dims=dims)))


def test_vectors_are_those_of_sentence_transformers(sentence_folder: Path) -> None:
    model = load_elastic(sentence_folder, embedding_task(read_sentence_layers(sentence_folder, HIDDEN), HIDDEN, ()))
    right = SentenceTransformer(str(sentence_folder), device="cpu")
    batch = right.tokenize(some_texts(6))
    with torch.no_grad():
        found = model.eval()(batch["input_ids"], batch["attention_mask"], model.subnet(), batch.get("token_type_ids"))
    expected = right.encode(some_texts(6))
    np.testing.assert_allclose(found.outputs["embedding"].numpy(), expected, atol=1e-6)


def test_sub_networks_learn_from_texts_alone(sentence_folder: Path, texts: Path, pairs: Path, tmp_path: Path) -> None:
    """What comes out is a folder of sentence-transformers' form, whose dims and sub-networks elastic.json names."""
    files = TrainingFiles(sentence_folder, None, pairs, tmp_path / "out", texts=(texts,))
    trained = run(files)
    assert trained.metric == "spearman_to_full"
    assert len(trained.scores) == 4
    manifest = ElasticManifest.load(tmp_path / "out")
    assert manifest is not None
    assert manifest.dims == (24, 8)

    out = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    before = SentenceTransformer(str(sentence_folder), device="cpu").encode(some_texts(20))
    assert [type(module).__name__ for module in out] == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert (out.encode(some_texts(20)) * before).sum(axis=1).mean() > 0.9, "the full network stays where it was"


def test_a_head_on_the_network_of_a_folder_replaces_what_stands_behind_it(
    sentence_folder: Path, make_data: Make, tmp_path: Path
) -> None:
    """The pooling of embeddings is no part of a network that says a label, so neither trained nor exported as one."""
    data = make_data("train.tsv", 40)
    trained = run(TrainingFiles(sentence_folder, data, data, tmp_path / "out"), dims=None)
    assert trained.metric == "accuracy"
    assert not is_sentence_folder(tmp_path / "out")


def test_without_scored_pairs_held_out_texts_count(sentence_folder: Path, texts: Path, tmp_path: Path) -> None:
    trained = run(TrainingFiles(sentence_folder, None, None, tmp_path / "out", texts=(texts,)))
    assert trained.metric == "fidelity"
    assert all(0.8 < one.score <= 1 for one in trained.scores)


def test_texts_are_learnt_once_and_some_are_held_out(tmp_path: Path) -> None:
    file = tmp_path / "texts.tsv"
    rows = some_texts(300)
    file.write_text("text\tpair\n" + "".join(f"{text}\t{text}\n" for text in rows))
    learnt, held_out = without_held_out(texts_to_distil([file, file]))
    assert len(learnt) + len(held_out) == len(set(rows))
    assert set(learnt).isdisjoint(held_out)
    assert 0 < len(held_out) < len(learnt)


def test_a_loss_is_0_for_the_teachers_vectors_alone() -> None:
    """Neither a vector elsewhere, nor one that is right only in length, nor a document elsewhere, is as good."""
    right = functional.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    losses, teacher = EmbeddingLosses((16,)), {"embedding": right}
    assert float(losses.of_teacher(teacher, teacher, teacher)) == pytest.approx(0, abs=1e-5)
    for wrong in (right.flip(0), right * 2):
        assert losses.of_teacher({"embedding": wrong}, teacher, teacher) > 0.1
    assert losses.of_teacher(teacher, teacher, {"embedding": right.flip(0)}) > 0.1


def test_an_error_that_changes_which_text_is_nearest_counts_more() -> None:
    wanted = torch.tensor([[1.0, 0.8, 0.7, 0.0], [0.8, 1.0, 0.5, 0.1], [0.7, 0.5, 1.0, 0.1], [0.0, 0.1, 0.1, 1.0]])
    assert similarity_loss(wanted, wanted) == pytest.approx(0, abs=1e-6)
    of_near, of_far = wanted.clone(), wanted.clone()
    of_near[0, 2] += 0.2
    of_far[0, 3] += 0.2
    assert similarity_loss(of_near, wanted) > 1.01 * similarity_loss(of_far, wanted)


def test_fewer_dimensions_count_by_themselves() -> None:
    right = functional.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    teacher = {"embedding": right}
    whole, also_cut = (EmbeddingLosses(dims).of_teacher(teacher, teacher, teacher) for dims in ((16,), (16, 4)))
    assert also_cut > whole + 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": (32,)}, "expected dims of 1 to 24, which vectors have, found 32; give fewer"),
        ({"labels": ("a",)}, "sentence-embedding, which has no labels, found other files, labels or another task"),
        ({"name": "text-classification"}, "found other files, labels or another task; leave them out"),
    ],
)
def test_what_embeddings_cannot_be_trained_for_is_refused(
    sentence_folder: Path, texts: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    files = TrainingFiles(sentence_folder, None, None, tmp_path / "out", texts=(texts,))
    with pytest.raises(TrainingError, match=message):
        train(files, DynaBertSettings(), RunOptions(task=TaskChoice(**change)))  # type: ignore[arg-type]


def test_too_few_texts_are_refused(sentence_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("good\n")
    files = TrainingFiles(sentence_folder, None, None, tmp_path / "out", texts=(tmp_path / "few.txt",))
    with pytest.raises(TrainingError, match=r"expected many texts in --texts, .* found 1; give more, or"):
        run(files)


def test_dims_are_of_embeddings(sentence_folder: Path, pairs: Path, tmp_path: Path) -> None:
    files = TrainingFiles(sentence_folder, pairs, pairs, tmp_path / "out")
    with pytest.raises(TrainingError, match="expected --train and --dev, or --texts for sentence embeddings"):
        run(files)
