"""Labels of tokens are learnt by every method, and scored as a device scores them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys import WORDS
from transformers import BertTokenizer
from transformers.modeling_outputs import TokenClassifierOutput

from edgebert.elastic.checkpoint import checkpoint_task
from edgebert.elastic.dynabert import method as dynabert
from edgebert.elastic.layer_drop import method as layer_drop
from edgebert.elastic.losses import LOSSES, UNLABELLED
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.tags import tag_outputs, tagged_texts, target_of
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions
from edgebert.exporters.build import export
from edgebert.inputs.tokenization import Tokens
from edgebert.measuring.evaluation import evaluate
from edgebert.tasks.token_classification import TokenClassification, WordTags

Make = Callable[..., Path]
NAME = TokenClassification.NAME
LABELS = ("O", "B-BAD", "B-GOOD")


@pytest.fixture
def files(make_checkpoint: Make, make_data: Make, tmp_path: Path) -> Callable[[str], TrainingFiles]:
    def make(kind: str) -> TrainingFiles:
        data = make_data("train.tsv", 160, task=NAME), make_data("dev.tsv", 40, task=NAME)
        return TrainingFiles(make_checkpoint(kind), *data, tmp_path / "out")

    return make


def test_the_first_token_of_a_word_has_its_label() -> None:
    row = Tokens([0] * 5, [0] * 5, [None, (0, 3), (3, 5), (6, 9), None])
    tags = WordTags([(0, 5), (6, 9), (10, 12)], [2, 1, 2])
    assert target_of(row, tags) == [UNLABELLED, 2, UNLABELLED, 1, UNLABELLED]


def test_texts_are_cut_as_on_a_device_and_padded_with_no_label() -> None:
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})
    asked = [WordTags([(0, 3)], [1]), WordTags([(0, 4), (5, 9), (10, 14)], [2, 0, 1])]
    texts = tagged_texts(TokenClassification(LABELS), tokenizer, ["bad", "good film plot"], 4, asked)
    batch = texts.batch([0, 1], torch.device("cpu"))
    no = UNLABELLED
    assert batch.targets is not None
    assert batch.targets.tolist() == [[no, 1, no, no], [no, 2, 0, no]]
    assert (texts.labelled_tokens([0, 1]), texts.labelled_tokens([0])) == (3, 1)
    assert batch.types is not None
    assert [len(row.ids) for row in batch.rows] == [3, 4]
    assert tagged_texts(TokenClassification(LABELS), tokenizer, ["bad"], 4).targets is None


@pytest.mark.parametrize("left", [False, True])
def test_padding_adds_nothing_to_losses_on_either_side(left: bool) -> None:
    losses, generator = LOSSES["token-cross-entropy"], torch.Generator().manual_seed(1)
    mask = torch.tensor([[0, 0, 1, 1] if left else [1, 1, 0, 0], [1, 1, 1, 1]])
    student, teacher = (torch.randn(2, 4, 3, generator=generator) for _ in range(2))
    ours, theirs = (tag_outputs(TokenClassifierOutput(logits=one), mask)["logits"] for one in (student, teacher))
    real = mask == 1
    expected = float(losses.of_logits(student[real][None], teacher[real][None]))
    assert float(losses.of_teacher({"logits": ours}, {"logits": theirs}, {})) == pytest.approx(expected, rel=1e-5)

    # Targets stand at the beginning whatever the side, and may be fewer than there are tokens.
    targets = torch.tensor([[UNLABELLED, 2], [0, 1]])
    first = torch.stack([student[0, mask[0] == 1][1], *student[1, :2]])
    right = torch.nn.functional.cross_entropy(first, torch.tensor([2, 0, 1]), reduction="sum")
    assert float(losses.of_wanted(ours, targets)) == pytest.approx(float(right), rel=1e-5)


def test_dynabert_learns_tags_and_a_device_scores_them_alike(
    files: Callable[[str], TrainingFiles], tmp_path: Path
) -> None:
    given = files("headless")
    settings = dynabert.DynaBertSettings(
        widths=(0.5, 1.0), depths=(0.5, 1.0), fine_tune=fine_tuning(3, 5e-3), epochs=1, learning_rate=2e-3
    )
    trained = dynabert.train(given, settings, RunOptions(compute="fp32"))
    assert (trained.metric, checkpoint_task(given.out)) == ("span_f1", TokenClassification(LABELS))
    assert min(one.score for one in trained.scores) > 0.8

    bundle = export(given.out, tmp_path / "bundle", precisions=["fp32"], max_length=32, evaluation_data=given.dev)
    found = {one.id.removesuffix("-fp32"): one.metrics["span_f1"] for one in evaluate(given.dev, bundle).subnetworks}
    assert found == pytest.approx({one.id.removesuffix("-fp32"): one.score for one in trained.scores}, abs=1e-6)


def test_layers_are_dropped_also_where_padding_comes_first(files: Callable[[str], TrainingFiles]) -> None:
    settings = layer_drop.LayerDropSettings(drop=1, fine_tune=fine_tuning(3, 5e-3))
    trained = layer_drop.train(files("xlnet-headless"), settings, RunOptions(TaskChoice(NAME), compute="fp32"))
    assert trained.metric == "span_f1"
    assert trained.scores[0].score > 0.8
