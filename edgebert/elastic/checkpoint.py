"""Reads Hugging Face model folders for training, and writes them."""

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.heads import TRAINING_HEADS, config_keys, fine_tuned_task
from edgebert.elastic.model import Model
from edgebert.elastic.model_config import ModelConfig, config_of
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError, TrainingError, cause_of, shortened
from edgebert.exporters.checkpoint_config import read_architecture
from edgebert.exporters.sentence_folder import sentence_files
from edgebert.exporters.tokenizer import load_tokenizer as checkpoint_tokenizer
from edgebert.exporters.tokenizer import quiet
from edgebert.staging import FolderKind, staged
from edgebert.tasks.task import Task

# Keys of every configuration; transformers takes others for arguments of a model.
_KNOWN_KEYS = {"id2label", "label2id", "problem_type"}
_TYPE_TABLE = "token_type_embeddings.weight"
# What `save_model` writes: configuration, weights and the files of transformers' tokenizers. What else lies there, such
# as a model's card or weights of another form, is its owner's.
_OWN_FILES = re.compile(
    r"(config|elastic|modules|sentence_\w+_config|config_sentence_transformers|generation_config|special_tokens_map|added_tokens|tokenizer|tokenizer_config|vocab)\.json"
    r"|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|vocab\.txt|merges\.txt|\w+(\.bpe)?\.model"
    r"|chat_template\.jinja"
)


def _own_files(folder: Path) -> set[str]:
    found = {path.name for path in folder.iterdir() if _OWN_FILES.fullmatch(path.name)}
    return found | {Path(name).parts[0] for name in sentence_files(folder)}


CHECKPOINT = FolderKind(name="checkpoint", marker="config.json", error=TrainingError, own_files=_own_files)


def read_model_config(path: Path) -> ModelConfig:
    """Return what we read of a configuration, or raise a TrainingError if there is none or what it asks for is not
    supported."""
    if not (path / "config.json").is_file():
        raise TrainingError(f"cannot read {path / 'config.json'}: give the folder of a Hugging Face model")
    # Refused before it is trained: what a cut model would compute wrongly, or what could not be exported in the end.
    try:
        read_architecture(path)
    except ExportError as problem:
        raise TrainingError(str(problem)) from None
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
    return ElasticModel(_load(path, task), TRAINING_HEADS[task.NAME].read_outputs(path))


def load_whole(path: Path, task: Task) -> Model:
    """Return the model of a checkpoint of any known family, to be run as it is; otherwise as `load_elastic`."""
    return Model(_load(path, task), TRAINING_HEADS[task.NAME].read_outputs(path))


def _load(path: Path, task: Task) -> PreTrainedModel:
    config, head, keys = read_model_config(path), TRAINING_HEADS[task.NAME], config_keys(task)
    # Where a checkpoint has no table of types, a type adds nothing. In most families transformers counts at least one.
    has_types = not config.family.described.token_types or config.types > 0
    needs_types = getattr(type(config.plain)(), "type_vocab_size", 0) > 0
    with explained(path):
        # Names, not a number of labels: transformers counts them, and saves them with the model.
        model, report = head.auto_class.from_pretrained(
            path,
            **{key: value for key, value in keys.items() if key in _KNOWN_KEYS},
            output_loading_info=True,
            # As they are stored: transformers 5 rounds them to the type that a config names.
            torch_dtype=torch.float32,
            **({} if has_types or not needs_types else {"type_vocab_size": 1}),
        )
    _check_missing(path, config, report["missing_keys"])
    # Random rows in the place of a table that is not there would change every text.
    for name in report["missing_keys"]:
        if name.endswith(_TYPE_TABLE):
            torch.nn.init.zeros_(model.get_parameter(name))
    assert isinstance(model, PreTrainedModel), "transformers' models share a base"
    for key in keys.keys() - _KNOWN_KEYS:
        setattr(model.config, key, keys[key])
    return model


def _check_missing(path: Path, config: ModelConfig, names: Iterable[str]) -> None:
    """Raise a TrainingError if tensors are missing that no training may start from random numbers for."""
    base, has_head = f"{config.family.described.base}.", fine_tuned_task(config) is not None
    # Where all tokens are of one type, as Bort's are, a table of them adds nothing.
    has_types = getattr(config.plain, "type_vocab_size", 0) > 1
    for name in sorted(names):
        # Of a model without a head these are new, BERT's pooler among them.
        is_new_head = not has_head and (not name.startswith(base) or ".pooler." in name)
        if not is_new_head and (has_types or not name.endswith(_TYPE_TABLE)):
            advice = "download the checkpoint again, with its config.json"
            raise TrainingError(f"{path}: tensor {name} is missing; {advice}")


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """Return the transformers tokenizer of a checkpoint, or raise a TrainingError if none can be read."""
    try:
        found = checkpoint_tokenizer(path)
    except ExportError as problem:
        raise TrainingError(str(problem)) from None
    assert isinstance(found, PreTrainedTokenizerBase), "transformers' tokenizers share a base"
    return found


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what transformers raises about a checkpoint, which may be anything, into one line."""
    try:
        with quiet():
            yield
    except Exception as problem:
        reason = shortened(cause_of(problem), 200)
        raise TrainingError(f"cannot read the checkpoint {path}: {reason}; check its files") from None


def _copy_sentence_files(origin: Path, folder: Path) -> None:
    for name in sentence_files(origin):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(origin / name, folder / name)


def save_model(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    manifest: ElasticManifest | None = None,
    origin: Path | None = None,
) -> None:
    """Write a checkpoint folder, elastic if it has a manifest, in one step: beside its place, then renamed.

    What the folder of its `origin` has for sentence-transformers beside the network comes along.

    Raises:
        TrainingError: it cannot be written, or something else is there.
    """
    with staged(out, CHECKPOINT) as folder:
        try:
            with quiet():
                model.plain().save_pretrained(folder)
                tokenizer.save_pretrained(folder)
            if origin:
                _copy_sentence_files(origin, folder)
        except (OSError, SafetensorError) as problem:  # the latter where the disk is full
            raise TrainingError(f"cannot write {out}: {cause_of(problem)}; choose another place or make room") from None
        if manifest:
            manifest.save(folder)
