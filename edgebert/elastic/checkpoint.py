"""Reads Hugging Face model folders for training, and writes them."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, RobertaTokenizer
from transformers.utils import logging

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.heads import TRAINING_HEADS, fine_tuned_task
from edgebert.elastic.model import Model
from edgebert.elastic.model_config import ModelConfig, config_of
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.staging import FolderKind, staged
from edgebert.tasks.task import Task

# What `save_model` writes: configuration, weights and the files of transformers' tokenizers. What else lies there, such
# as a model's card or weights of another form, is its owner's.
_OWN_FILES = re.compile(
    r"(config|elastic|generation_config|special_tokens_map|added_tokens|tokenizer|tokenizer_config|vocab)\.json"
    r"|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|vocab\.txt|merges\.txt|\w+(\.bpe)?\.model"
    r"|chat_template\.jinja"
)


def _own_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if _OWN_FILES.fullmatch(path.name)}


CHECKPOINT = FolderKind(name="checkpoint", marker="config.json", error=TrainingError, own_files=_own_files)


def read_model_config(path: Path) -> ModelConfig:
    """Return what we read of a configuration, or raise a TrainingError if it is missing or of an unknown family."""
    if not (path / "config.json").is_file():
        raise TrainingError(f"cannot read {path / 'config.json'}: give the folder of a Hugging Face model")
    with explained(path):
        found = AutoConfig.from_pretrained(path)
    return config_of(found)


def checkpoint_task(path: Path) -> Task | None:
    """Return the task that a checkpoint was fine-tuned for, None if it has no task's head yet.

    No checkpoint or one of an unknown family is a TrainingError.
    """
    return fine_tuned_task(read_model_config(path))


def load_elastic(path: Path, task: Task) -> ElasticModel:
    """Return the model of a checkpoint, to be cut in each call, with a new head if it has none; seed torch before.

    One that cannot be read, or is of a family that cannot be cut, is a TrainingError.
    """
    return ElasticModel(_load(path, task))


def load_whole(path: Path, task: Task) -> Model:
    """Return the model of a checkpoint of any known family, to be run as it is; otherwise as `load_elastic`."""
    return Model(_load(path, task))


def _load(path: Path, task: Task) -> PreTrainedModel:
    config, head = read_model_config(path), TRAINING_HEADS[task.NAME]
    # transformers counts at least one type; where a checkpoint has no table of them, a type adds nothing.
    has_types = not config.family.described.token_types or config.types > 0
    with explained(path):
        # Names, not a number of labels: transformers counts them, and saves them with the model.
        model, report = head.auto_class.from_pretrained(
            path,
            id2label=dict(enumerate(task.labels)),
            label2id={name: number for number, name in enumerate(task.labels)},
            problem_type=head.problem_type,
            output_loading_info=True,
            **({} if has_types else {"type_vocab_size": 1}),
        )
    # Random rows in the place of a table that is not there would change every text.
    for name in report["missing_keys"]:
        if name.endswith("token_type_embeddings.weight"):
            torch.nn.init.zeros_(model.get_parameter(name))
    # transformers 5 loads weights in the type that they are stored in, which may be a half precision.
    loaded: PreTrainedModel = model.float()
    return loaded


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """Return the transformers tokenizer of a checkpoint, or raise a TrainingError if none can be read."""
    # A released Bort calls itself a BERT, and has RoBERTa's tokenizer.
    merged = (path / "merges.txt").is_file() and not any((path / n).is_file() for n in ("tokenizer.json", "vocab.txt"))
    with explained(path):
        found = RobertaTokenizer.from_pretrained(path) if merged else AutoTokenizer.from_pretrained(path)
    assert isinstance(found, PreTrainedTokenizerBase), "transformers' tokenizers share a base"
    return found


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what transformers raises about a checkpoint into one line."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise TrainingError(f"cannot read the checkpoint {path}: {reason}") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars off the terminal, which is ours."""
    settings: Any = logging  # some of its functions are not typed
    # Both are settings of the whole process, which is the caller's: they are put back.
    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()


def save_model(
    model: Model, tokenizer: PreTrainedTokenizerBase, out: Path, manifest: ElasticManifest | None = None
) -> None:
    """Write a checkpoint folder, elastic if it has a manifest, in one step: beside its place, then renamed.

    Raises:
        TrainingError: it cannot be written, or something else is there.
    """
    with staged(out, CHECKPOINT) as folder:
        try:
            with quiet():
                model.plain().save_pretrained(folder)
                tokenizer.save_pretrained(folder)
        except OSError as problem:
            raise TrainingError(f"cannot write {out}: {problem}; choose another place or make room") from None
        if manifest:
            manifest.save(folder)
