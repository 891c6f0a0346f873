"""Pairs with one logit are trained from labels between 0 and 1, and scored as sentence-transformers scores them."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sentence_transformers import CrossEncoder
from toys import BAD, GOOD, PLAIN

import edgebert
from edgebert.elastic.checkpoint import checkpoint_task
from edgebert.elastic.layer_drop.method import LayerDropSettings, train
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions
from edgebert.errors import TrainingError
from edgebert.exporters.build import export
from edgebert.tasks.text_classification import TextClassification

Make = Callable[..., Path]
RUN = RunOptions(compute="fp32", task=TaskChoice(None, ("relevance",)))
SETTINGS = LayerDropSettings(drop=0, fine_tune=fine_tuning(8, 5e-3))


def write_pairs(path: Path, count: int, most: float = 1.0) -> Path:
    """Write pairs whose passage has good words, or bad ones."""
    generator, lines = random.Random(len(path.name)), ["query\tpassage\tlabel"]
    for number in range(count):
        words = [*generator.choices(PLAIN, k=3), *generator.choices((BAD, GOOD)[number % 2], k=2)]
        lines.append(f"the film\t{' '.join(generator.sample(words, 5))}\t{(number % 2) * most:g}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_reranker_is_trained_from_pairs(make_checkpoint: Make, tmp_path: Path) -> None:
    files = TrainingFiles(
        make_checkpoint("headless"),
        write_pairs(tmp_path / "train.tsv", 120),
        write_pairs(tmp_path / "dev.tsv", 40),
        tmp_path / "out",
    )
    trained = train(files, SETTINGS, RUN)
    assert checkpoint_task(files.out) == TextClassification(("relevance",))
    assert trained.metric == "spearman"
    assert trained.scores[0].score > 0.6

    bundle = export(files.out, tmp_path / "bundle", precisions=["fp32"], evaluation_data=files.dev)
    quality = bundle.manifest.subnetworks[0].quality
    assert quality is not None
    assert quality.value == pytest.approx(trained.scores[0].score, abs=1e-3)  # equal scores are near
    pairs = [("the film", "good warm plot"), ("the film", "bad dull plot")]
    with edgebert.load(bundle) as model:
        scores = [one["score"] for one in model(pairs)]
    assert scores == pytest.approx(CrossEncoder(str(files.out)).predict(pairs).tolist(), abs=1e-5)
    assert scores[0] > scores[1]


def test_labels_beyond_1_are_refused(make_checkpoint: Make, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "train.tsv", 4, most=3)
    files = TrainingFiles(make_checkpoint("headless"), data, data, tmp_path / "out")
    message = "expected labels from 0 to 1 for 'relevance', found 3; divide all by the largest, or use --task text-regr"
    with pytest.raises(TrainingError, match=message):
        train(files, SETTINGS, RUN)
