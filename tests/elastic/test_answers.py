"""Networks for answers are trained like others: windows are texts, padding has no share, dev scores are a device's."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import BAD, GOOD, PLAIN

import edgebert
from edgebert.elastic.answers import span_outputs, target_of, windows_of
from edgebert.elastic.bort.method import BortSettings
from edgebert.elastic.bort.method import train as train_bort
from edgebert.elastic.checkpoint import checkpoint_task, load_tokenizer
from edgebert.elastic.dynabert.method import DynaBertSettings
from edgebert.elastic.dynabert.method import train as train_dynabert
from edgebert.elastic.early_bird.method import EarlyBirdSettings, efficient_training
from edgebert.elastic.early_bird.method import train as train_early_bird
from edgebert.elastic.early_bird.ticket import Pruning
from edgebert.elastic.early_bird.ticket_search import TicketSearch
from edgebert.elastic.layer_drop.method import LayerDropSettings
from edgebert.elastic.layer_drop.method import train as train_layer_drop
from edgebert.elastic.losses import LOSSES
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions
from edgebert.errors import TrainingError
from edgebert.exporters.build import export
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.spans import Span

Make = Callable[..., Path]
TASK = QuestionAnswering(())
PRUNING = Pruning(heads=0.25, ffn=0.5, multiple=8)


def write_questions(path: Path, count: int, *, impossible: bool = False) -> Path:
    """Write questions about one word of a context: whether a good or a bad one stands there."""
    generator, lines = random.Random(len(path.name)), ["question\tcontext\tanswer\tstart"]
    for number in range(count):
        context = generator.choices(PLAIN, k=generator.randint(3, 30))
        asked, other = (GOOD, BAD) if number % 2 else (BAD, GOOD)
        word = generator.choice(asked)
        is_impossible = impossible and number % 3 == 0
        words = [*context, generator.choice(other), *([] if is_impossible else [word])]
        generator.shuffle(words)
        text = " ".join(words)
        answer = ("", "") if is_impossible else (word, str(text.index(word)))
        lines.append("\t".join((asked[0], text, *answer)))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path, make_checkpoint: Make) -> Callable[..., TrainingFiles]:
    def make(kind: str = "headless", **options: Any) -> TrainingFiles:
        train = write_questions(tmp_path / "train.tsv", 240, **options)
        dev = write_questions(tmp_path / "dev.tsv", 30, **options)
        return TrainingFiles(make_checkpoint(kind), train, dev, tmp_path / "out")

    return make


# Windows of 24 tokens: longer contexts have several.
RUN = RunOptions(compute="fp32", max_length=24)


def test_answers_are_learnt_and_scored_as_a_device_scores_them(
    files: Callable[..., TrainingFiles], tmp_path: Path
) -> None:
    """The task is what the data say; the export measures what training measured, with a threshold for no answer."""
    given = files(impossible=True)
    settings = DynaBertSettings(
        epochs=2, learning_rate=2e-3, widths=(0.5, 1.0), depths=(1.0,), fine_tune=fine_tuning(12, 5e-3)
    )
    trained = train_dynabert(given, settings, RUN)
    assert checkpoint_task(given.out) == TASK
    assert trained.metric == "f1"
    assert min(one.score for one in trained.scores) > 0.7

    bundle = export(given.out, tmp_path / "bundle", precisions=["fp32"], evaluation_data=given.dev, max_length=24)
    scores = {(one.width, one.depth): one.score for one in trained.scores}
    for subnet in bundle.manifest.subnetworks:
        assert subnet.quality is not None
        assert subnet.quality.value == pytest.approx(scores[subnet.width, subnet.depth], abs=1e-6)
        assert subnet.no_answer_threshold is not None
    with edgebert.load(bundle) as model:
        found = model(("good", "the film bad plot fine"), handle_impossible_answer=False)
    assert found["answer"] in ("fine", "bad")


@pytest.mark.parametrize("kind", ["xlnet-headless", "distilbert-headless"])
def test_layers_are_dropped_of_networks_for_answers(files: Callable[..., TrainingFiles], kind: str) -> None:
    trained = train_layer_drop(files(kind), LayerDropSettings(drop=1, fine_tune=fine_tuning(6, 3e-3)), RUN)
    assert checkpoint_task(trained.checkpoint) == TASK
    assert trained.scores[0].score > 0.4  # a word at random is right one time in 18


def test_tickets_are_drawn_of_networks_for_answers(files: Callable[..., TrainingFiles], tmp_path: Path) -> None:
    given, search = files(), TicketSearch(learning_rate=2.5e-3, pruning=PRUNING)
    train_early_bird(given, EarlyBirdSettings(search, efficient_training(1, 5e-3)), RUN)
    assert checkpoint_task(given.out) == TASK
    bundle = export(given.out, tmp_path / "bundle", precisions=["fp32"])
    assert bundle.manifest.task == TASK.NAME


def test_what_makes_no_sense_is_refused(files: Callable[..., TrainingFiles]) -> None:
    given = files()
    labelled = RunOptions(task=TaskChoice(None, ("a", "b")))
    with pytest.raises(
        TrainingError, match="expected no labels for question-answering, found a, b; leave out --labels"
    ):
        train_layer_drop(given, LayerDropSettings(), labelled)
    with pytest.raises(TrainingError, match="bort makes no models for question-answering; use dynabert, early-bird or"):
        train_bort(given, BortSettings(architecture=None), RUN, None)  # type: ignore[arg-type]


def test_targets_are_the_tokens_of_answers_or_the_class(make_checkpoint: Make) -> None:
    tokenizer = load_tokenizer(make_checkpoint("headless"))
    context = "the film " * 5 + "good plot " + "the cast " * 8
    right = (Span(45, 54, "good plot"),)
    texts = windows_of(TASK, tokenizer, [("good", context)], 16, [right])
    assert texts.windows is not None
    assert texts.windows.counts == (len(texts),)
    assert len(texts) > 2
    for number, target in enumerate(texts.targets or ()):
        first, last = target  # type: ignore[misc]
        words = tokenizer.convert_ids_to_tokens(texts.ids[number][first : last + 1])
        assert words in (["good", "plot"], ["[CLS]"])
    assert 0 < [target != [0, 0] for target in texts.targets or ()].count(True) < len(texts)
    assert target_of(texts.windows.rows[0], ()) == [0, 0]
    # A part of a token is the whole one.
    (row, *_) = texts.windows.rows
    assert target_of(row, (Span(1, 6, "he fi"),)) == [3, 4]


@pytest.mark.parametrize("left", [False, True])
def test_padding_has_no_share_in_losses(left: bool) -> None:
    """Those of a batch are those of its texts one by one, whichever side is padded."""
    generator, lengths = torch.Generator().manual_seed(2), (7, 4, 1)
    logits = [torch.randn(2, 2, length, generator=generator) for length in lengths]  # student, teacher
    losses, targets = LOSSES["span-cross-entropy"], torch.tensor([[3, 6], [0, 2], [0, 0]])

    def outputs(of: int) -> torch.Tensor:
        padded = torch.full((3, 2, 7), 50.0)
        mask = torch.zeros(3, 7, dtype=torch.long)
        for row, length in enumerate(lengths):
            place = slice(7 - length, 7) if left else slice(length)
            padded[row, :, place] = logits[row][of]
            mask[row, place] = 1
        found = {"start_logits": padded[:, 0], "end_logits": padded[:, 1]}
        return span_outputs(found, mask)["logits"]  # type: ignore[arg-type]

    student, teacher = outputs(0), outputs(1)
    by_one = sum(losses.of_wanted(one[:1], target[None]) for one, target in zip(logits, targets, strict=True))
    assert torch.allclose(losses.of_wanted(student, targets), torch.as_tensor(by_one), atol=1e-5)
    taught = sum(losses.of_teacher({"logits": one[:1]}, {"logits": one[1:]}, {}, 2.0) for one in logits)
    assert torch.allclose(
        losses.of_teacher({"logits": student}, {"logits": teacher}, {}, 2.0), torch.as_tensor(taught), atol=1e-4
    )
