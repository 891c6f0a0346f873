"""Reads a Hugging Face model folder and checks that it is one that can be exported.

Knows nothing about graphs. Needs torch only for pytorch_model.bin, which is never unpickled.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from edgebert.elastic_manifest import ELASTIC, ElasticManifest
from edgebert.errors import ExportError, listed
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.checkpoint_config import Architecture, read_architecture
from edgebert.exporters.config_file import read_config, read_count, read_tokenizer_config
from edgebert.exporters.embedding_space import embedding_task
from edgebert.exporters.family import Family, Part, Sizes
from edgebert.exporters.heads import check_labels, choose_head
from edgebert.exporters.pooling import dense_name
from edgebert.exporters.sentence_folder import is_sentence_folder, read_sentence_folder
from edgebert.exporters.sentence_layers import Dense, SentenceLayers
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task

logger = logging.getLogger(__name__)

# The forms of weights that transformers reads, in its order.
_WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# What other savers leave, for a message.
_OTHER_FILES = ("tf_model.h5", "flax_model.msgpack", "consolidated.safetensors", "model.gguf", "model.onnx")
# What numbers are stored as, by safetensors' words; all others are no floating-point numbers that models are run in.
_FLOATS: Mapping[str, type[Any]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}

# Control characters, what else ends a line, and halves of characters, which no file can hold.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Tensors by their names in a file; those that are no floating-point numbers are empty, and of type bool.
Stored = dict[str, NDArray[Any]]


def read_checkpoint(path: Path, labels: tuple[str, ...] | None = None, task: str | None = None) -> Checkpoint:
    """Read a checkpoint folder; `labels` and the name of a `task` replace what its config says.

    Raises:
        ExportError: no such folder, an unsupported architecture, missing tensors or tensors of the wrong shape,
            labels or a task that do not fit the head, an elastic.json that does not fit its layers.
    """
    found = read_architecture(path)
    # Asked before the tensors: what a model is says more than which of them it lacks.
    head = choose_head(path, found.config, found.family, task)
    config, family = found.config, head.family(found.family)
    found = replace(found, family=family)
    stored = _by_model_names(path, read_tensors(path), family)
    sizes = _sizes(path, found, stored)
    check_labels(path, config, head, sizes.labels)
    if labels and not head.has_labels:
        raise ExportError(f"{path}: expected no labels for {head.task.NAME}, found {listed(labels)}; leave them out")
    elastic = ElasticManifest.load(path)
    layers = _layers(path, elastic, sizes.layers)
    # Each is taken by its name and shape, so that a tensor that is missing or does not fit is named.
    tensors = {
        ours: family.matrix(ours, _take(path, stored, theirs, shape))
        for ours, theirs, shape in family.tensors(sizes, layers, found.absent)
    }
    sentence = _sentence_layers(path, sizes.hidden) if issubclass(head.task, SentenceEmbedding) else None
    if sentence is None:
        answered: Task = head.task(_labels(path, config, labels, sizes.labels) if head.has_labels else ())
    else:
        tensors |= _dense_tensors(path, sentence)
        answered = embedding_task(sentence, sizes.hidden, tensors, elastic)
    return Checkpoint(
        path=path,
        family=family,
        sizes=sizes,
        elastic=elastic,
        layers=layers,
        # What config.json says of pooling is of the head for text classification.
        settings=found.settings if sentence is None else replace(found.settings, mean_pooling=False),
        task=answered,
        tensors=tensors,
        sentence=sentence,
    )


def _sizes(path: Path, found: Architecture, stored: Stored) -> Sizes:
    config, family, counts = found.config, found.family, dict(found.counts)
    # Bort's has no table of types, since it tells none apart.
    if "type" in family.units and f"{family.module('type')}.weight" in stored:
        counts["types"] = read_count(path, config, str(family.sizes["types"]))
    elif counts["types"] == 1:
        counts["types"] = 0
    if family.gives_types and not family.gives_types(config, read_tokenizer_config(path)):
        counts["types"] = 1  # the model has more, but was trained with texts of one type alone

    return Sizes(**counts, labels=_label_count(path, family, stored))


def _label_count(path: Path, family: Family, stored: Stored) -> int:
    """Return how many rows the classifier has, of which not every config says how many there are; 0 without one."""
    if "classifier" not in family.units:
        return 0
    name = f"{family.module('classifier')}.weight"
    classifier = stored.get(name)
    if classifier is None or classifier.ndim != 2:
        there = "none" if classifier is None else f"one of shape {classifier.shape}"
        advice = _advice(stored, name, "fine-tune it for its task first")
        raise ExportError(f"{path}: expected a tensor {name} (labels, hidden), found {there}; {advice}")
    return int(classifier.shape[0])


def _sentence_layers(path: Path, hidden: int) -> SentenceLayers:
    """Return what stands behind a network that embeds texts: as sentence-transformers takes it where nothing does."""
    if is_sentence_folder(path):
        return read_sentence_folder(path, hidden)
    logger.warning("%s has no modules.json: the mean of all tokens is taken, as sentence-transformers does", path)
    return SentenceLayers()


def _dense_tensors(path: Path, layers: SentenceLayers) -> dict[str, Array]:
    """Return the tensors of the linear layers behind a network, by our names."""
    found: dict[str, Array] = {}
    for place, step in enumerate(layers.steps):
        if isinstance(step, Dense):
            folder, name = path / step.folder, dense_name(place)
            stored = read_tensors(folder)
            found[f"{name}.weight"] = _take(folder, stored, "linear.weight", (step.outputs, step.inputs))
            if step.has_bias:
                found[f"{name}.bias"] = _take(folder, stored, "linear.bias", (step.outputs,))
    return found


def _layers(path: Path, elastic: ElasticManifest | None, count: int) -> tuple[int, ...]:
    """Return the numbers of the layers: elastic.json's, where some were left out of a larger model, else 0, 1, ..."""
    layers = (elastic.layers if elastic else ()) or tuple(range(count))
    if len(layers) != count or list(layers) != sorted(set(layers)) or layers[0] < 0:
        expected = f"expected the numbers of {count} layers, from 0 up in their order"
        raise ExportError(f"{path / ELASTIC}: {expected}, found {list(layers)}; make the checkpoint again")
    return layers


def _take(path: Path, stored: Stored, theirs: str | Part, shape: tuple[int, ...]) -> Array:
    name, place, parts = theirs if isinstance(theirs, Part) else Part(theirs, 0, 1)
    rows, expected = shape[0], (shape[0] * parts, *shape[1:])
    if name not in stored:
        advice = _advice(stored, name, "download the checkpoint again, with its config.json")
        raise ExportError(f"{path}: tensor {name} {expected} is missing; {advice}")
    tensor = stored[name]
    if tensor.dtype != np.float32:
        raise ExportError(f"{path}: tensor {name} holds no floating-point numbers; quantized ones are not supported")
    if tensor.shape != expected:
        found = f"expected tensor {name} of shape {expected}, found {tensor.shape}"
        raise ExportError(f"{path}: {found}; check config.json")
    # What a training that diverged leaves: every answer would be undefined.
    if not np.isfinite(tensor).all():
        raise ExportError(f"{path}: tensor {name} holds infinite or undefined numbers; train the checkpoint again")
    # Whole ones as they are: layers that share a tensor go on sharing it.
    return tensor if parts == 1 else tensor[place * rows :][:rows]


def _advice(stored: Stored, name: str, usual: str) -> str:
    """Return what to do about a missing tensor, which may be there under a longer name, such as DataParallel's."""
    longer = next((other for other in stored if other.endswith(f".{name}")), None)
    if longer is None:
        return usual
    return f"there is {longer[:100]}, which transformers does not read either: save the model without its wrapper"


def _labels(path: Path, config: Mapping[str, Any], given: tuple[str, ...] | None, count: int) -> tuple[str, ...]:
    labels = given or _named_labels(path, config, count)
    wrong = next((label for label in labels if _UNPRINTABLE.search(label)), None)
    if wrong is not None:
        found = f"expected labels without line breaks and control characters, found {wrong[:40]!r}"
        raise ExportError(f"{path}: {found}; give others with --labels")
    if len(labels) != count or len(set(labels)) != count:
        found = f"expected {count} different labels, found {listed(labels)}"
        raise ExportError(f"{path}: {found}; give them with --labels")
    return labels


def _named_labels(path: Path, config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Return the labels that a config names, as transformers does those of a config without names."""
    named, numbers = config.get("id2label") or {}, range(count)
    if isinstance(named, list):
        named = dict(enumerate(named))
    try:
        # Keys of a JSON object are words. Ints are common values where somebody has trained on their own.
        found = {
            int(number): label if isinstance(label, str) else str(_number(label)) for number, label in named.items()
        }
    except (AttributeError, TypeError, ValueError):
        raise ExportError(f"{path / 'config.json'}: expected names for id2label; give them with --labels") from None
    if not found:
        return tuple(f"LABEL_{number}" for number in numbers)
    if found.keys() != set(numbers):
        what = f"expected names for the labels 0 to {count - 1} in id2label, found {len(found)}"
        first = next((f", none for {number}" for number in numbers if number not in found), "")
        raise ExportError(f"{path / 'config.json'}: {what}{first}; give them with --labels")
    return tuple(found[number] for number in numbers)


def _number(label: object) -> int | float:
    if isinstance(label, bool) or not isinstance(label, int | float):
        raise TypeError
    return label


def weight_file(path: Path) -> Path:
    """Return the file that holds a checkpoint's weights, or says in which files they are: as transformers chooses it.

    Raises:
        ExportError: there is none that can be read.
    """
    for name in _WEIGHT_FILES:
        if (path / name).is_file():
            return path / name
    found = next((name for name in _OTHER_FILES if (path / name).exists()), "neither")
    expected = "expected model.safetensors or pytorch_model.bin"
    raise ExportError(f"{path}: {expected}, found {found}; save the model there with transformers")


def weight_files(path: Path) -> list[Path]:
    """Return the files that hold a checkpoint's weights, in the order in which transformers reads them.

    Raises:
        ExportError: there is none, or an index names one that is not in the folder.
    """
    file = weight_file(path)
    if file.suffix != ".json":
        return [file]
    shards = read_config(path, file.name).get("weight_map")
    names = list(shards.values()) if isinstance(shards, dict) else []
    for name in names or [None]:
        # A name may lead out of the folder.
        if not isinstance(name, str) or Path(name).name != name or not (path / name).is_file():
            expected = "expected the names of files beside it in weight_map"
            raise ExportError(f"{file}: {expected}, found {str(name)[:60]!r}; download the checkpoint again")
    return [path / name for name in sorted(set(names))]


def read_tensors(path: Path) -> Stored:
    """Return a checkpoint's tensors by their names in the files, floating-point ones as float32.

    Raises:
        ExportError: a file is missing, truncated or damaged.
    """
    found: Stored = {}
    for file in weight_files(path):
        found |= _read_torch(file) if file.suffix == ".bin" else dict(_read_safetensors(file))
    return found


def _read_safetensors(file: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    try:
        # Checks that the header and the file fit. It gives no bfloat16 and float8, of which numpy knows nothing.
        with safe_open(file, framework="np"):
            content = np.asarray(np.memmap(file, np.uint8, "r"))
        start = 8 + int.from_bytes(content[:8].tobytes(), "little")
        header = json.loads(content[8:start].tobytes())
        header.pop("__metadata__", None)
        for name, tensor in header.items():
            begin, end = tensor["data_offsets"]
            dtype = _FLOATS.get(tensor["dtype"])
            if dtype is None:
                yield name, np.empty(0, np.bool_)
            else:
                numbers = content[start + begin : start + end].view(dtype).reshape(tensor["shape"])
                # What does not fit into float32 becomes infinite, and is refused where it is read.
                with np.errstate(all="ignore"):
                    yield name, numbers.astype(np.float32)
    except (SafetensorError, OSError, ValueError) as problem:
        raise ExportError(f"{file} cannot be read: {_one_line(problem)}; download the checkpoint again") from None


def _read_torch(file: Path) -> Stored:
    try:
        import torch
    except ImportError:
        raise ExportError(f"reading {file} needs torch; pip install torch, or save it as safetensors") from None
    try:
        # weights_only: a pickle may run any code when it is loaded.
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {
            str(name): tensor.detach().float().numpy() if tensor.is_floating_point() else np.empty(0, np.bool_)
            for name, tensor in state.items()
            if isinstance(tensor, torch.Tensor)
        }
    except Exception as problem:  # torch raises many kinds: pickle, zip, runtime, attribute errors
        raise ExportError(f"{file} cannot be read: {_one_line(problem)}; download the checkpoint again") from None


def _by_model_names(path: Path, stored: Stored, family: Family) -> Stored:
    """Return the tensors by the names that the family's model has for them, where a file has others.

    As transformers does: those that were converted from TensorFlow have other names for their norms, and those of a
    base model lack its name, or others have it too.
    """
    found: dict[str, str] = {}
    names = [*map(family.module, family.units), *(name for name, _ in family.relative.values())]
    parts = [name.split(".") for name in names]
    head = {first for first, *_ in parts} - {family.base}
    inner = {rest[0] for first, *rest in parts if first == family.base}
    for name in stored:
        renamed = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        first, _, rest = renamed.partition(".")
        if first == family.base and rest.partition(".")[0] in head:
            renamed = rest
        elif first in inner:
            renamed = f"{family.base}.{renamed}"
        other = found.setdefault(renamed, name)
        if other != name:
            raise ExportError(f"{path}: tensors {other} and {name} are the same one of the model; keep one of them")
    return {renamed: stored[name] for renamed, name in found.items()}


def _one_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0][:200]
