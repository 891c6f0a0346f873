"""Reads Hugging Face model folders for training, and writes them."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, RobertaTokenizer
from transformers.utils import logging

from edgebert.elastic.model import ElasticModel
from edgebert.elastic.whole import Model, WholeModel
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Head:
    """What a classifier's head says: a number, or one of these labels."""

    task: TaskKind
    labels: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What its dev scores are."""
        return "accuracy" if self.task == "classification" else "pearson"


def head_of(path: Path) -> Head | None:
    """Return the head of a checkpoint; None if it has none yet.

    Raises:
        TrainingError: there is no checkpoint in this folder, or one of a task that is not supported.
    """
    config = read_config(path)
    if config.problem_type == "multi_label_classification":
        raise TrainingError(f"{path}: several labels for one text are not supported; use a checkpoint of another task")
    architectures = config.architectures or []
    if not any(name.endswith("ForSequenceClassification") for name in architectures):
        return None
    if config.num_labels == 1:
        return Head("regression", ("score",))
    return Head("classification", tuple(config.id2label[number] for number in range(config.num_labels)))


def read_config(path: Path) -> Any:
    """Return the transformers configuration of a checkpoint.

    Raises:
        TrainingError: there is none that can be read.
    """
    if not (path / "config.json").is_file():
        raise TrainingError(f"cannot read {path / 'config.json'}: give the folder of a Hugging Face model")
    with explained(path):
        return AutoConfig.from_pretrained(path)


def load_model(path: Path, head: Head) -> ElasticModel:
    """Return the classifier of a checkpoint, to be cut in each call, with a new head if it has none; seed torch before.

    Raises:
        TrainingError: the checkpoint cannot be read, or is of an unknown family.
    """
    return ElasticModel(_load_classifier(path, head))


def load_whole(path: Path, head: Head) -> WholeModel:
    """Return the classifier of a checkpoint, to be run as it is, with a new head if it has none; seed torch before.

    Raises:
        TrainingError: the checkpoint cannot be read, or is of an unknown family.
    """
    return WholeModel(_load_classifier(path, head))


def _load_classifier(path: Path, head: Head) -> Any:
    names = {"id2label": dict(enumerate(head.labels)), "label2id": {name: i for i, name in enumerate(head.labels)}}
    kind = "regression" if head.task == "regression" else "single_label_classification"
    config = read_config(path)
    for name, value in {"num_labels": len(head.labels), "problem_type": kind, **names}.items():
        setattr(config, name, value)
    # transformers counts at least one type; where a checkpoint has no table of them, a type adds nothing.
    if getattr(config, "type_vocab_size", 1) == 0:
        config.type_vocab_size = 1
    with explained(path):
        classifier, report = AutoModelForSequenceClassification.from_pretrained(
            path, config=config, output_loading_info=True
        )
    for name in report["missing_keys"]:
        if name.endswith("token_type_embeddings.weight"):
            torch.nn.init.zeros_(classifier.get_parameter(name))
    return classifier.float()


def load_tokenizer(path: Path) -> Any:
    """Return the transformers tokenizer of a checkpoint.

    Raises:
        TrainingError: it has none that can be read.
    """
    # A released Bort calls itself a BERT, and has RoBERTa's tokenizer.
    merged = (path / "merges.txt").is_file() and not any((path / n).is_file() for n in ("tokenizer.json", "vocab.txt"))
    with explained(path):
        return RobertaTokenizer.from_pretrained(path) if merged else AutoTokenizer.from_pretrained(path)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what transformers raises into one line."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise TrainingError(f"cannot read the checkpoint {path}: {reason}") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars off the terminal, which is ours."""
    settings: Any = logging
    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()


def out_is_free(out: Path) -> None:
    """Check that a checkpoint may be written to a folder: there is none, it is empty, or holds an older checkpoint.

    Raises:
        TrainingError: something else is there.
    """
    if out.exists() and not (out / "config.json").is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise TrainingError(f"{out} exists and is no checkpoint; choose another --out or remove it")


def save_model(model: Model, tokenizer: Any, out: Path, manifest: ElasticManifest | None = None) -> None:
    """Write a checkpoint folder, elastic if it has a manifest, in one step: beside its place, then renamed.

    Raises:
        TrainingError: it cannot be written.
    """
    staged = out.with_name(f".{out.name}.new")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        with quiet():
            model.plain().save_pretrained(staged)
            tokenizer.save_pretrained(staged)
        if manifest:
            manifest.save(staged)
        if out.exists():
            shutil.rmtree(out)
        staged.rename(out)
    except OSError as problem:
        raise TrainingError(f"cannot write {out}: {problem.strerror}; choose another place or make room") from None
