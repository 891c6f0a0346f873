"""Reads a Hugging Face model folder and checks that it is one that can be exported.

Knows nothing about graphs. Needs torch only for pytorch_model.bin, which is never unpickled.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from edgebert.elastic_manifest import ELASTIC, ElasticManifest
from edgebert.errors import ExportError, listed
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.family import Family, Sizes
from edgebert.exporters.heads import choose_head


def read_checkpoint(path: Path, labels: tuple[str, ...] | None = None, task: str | None = None) -> Checkpoint:
    """Read a checkpoint folder; `labels` and the name of a `task` replace what its config says.

    Raises:
        ExportError: no such folder, an unsupported architecture, missing tensors or tensors of the wrong shape,
            labels or a task that do not fit the head, an elastic.json that does not fit its layers.
    """
    config = read_config(path)
    family = _family(path, config)
    stored = _strip_old_names(read_tensors(path))
    sizes = _sizes(path, config, family, stored)
    head = choose_head(path, config, family, sizes.labels, task)
    elastic = ElasticManifest.load(path)
    layers = _layers(path, elastic, sizes.layers)
    # Each is taken by its name and shape, so that a tensor that is missing or does not fit is named.
    tensors = {
        ours: family.matrix(ours, _take(path, stored, theirs, shape))
        for ours, theirs, shape in family.tensors(sizes, layers)
    }
    return Checkpoint(
        path=path,
        family=family,
        sizes=sizes,
        elastic=elastic,
        layers=layers,
        first_position=family.first_position(config),
        layer_norm_eps=_layer_norm_eps(path, config),
        task=head.task(_labels(path, config, labels, sizes.labels)),
        tensors=tensors,
    )


def read_config(path: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a checkpoint's config.json, or another JSON file of its folder.

    Raises:
        ExportError: there is none, or it is no JSON object.
    """
    file = path / name
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        advice = "give the folder of a Hugging Face model"
        raise ExportError(f"cannot read {file}: {problem.strerror}; {advice}") from None
    # A file that is nested thousands of levels deep is a RecursionError.
    except (ValueError, RecursionError) as problem:
        raise ExportError(f"{file} is not JSON: {problem}; download the checkpoint again") from None
    if not isinstance(found, dict):
        raise ExportError(f"{file}: expected a JSON object; download the checkpoint again")
    return found


def read_tokenizer_config(path: Path) -> dict[str, Any]:
    """Return a checkpoint's tokenizer_config.json, nothing if it has none; raises as `read_config`."""
    return read_config(path, "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}


def _family(path: Path, config: dict[str, Any]) -> Family:
    """Return the family of a checkpoint, all of whose settings are supported."""
    found = config.get("model_type", "bert")  # the oldest configs, BERT's, do not name it
    family = next((family for family in FAMILIES if found in family.model_types), None)
    if family is None:
        known = ", ".join(name for family in FAMILIES for name in family.model_types)
        raise ExportError(f"{path}: model_type '{found}' is not supported; expected one of {known}")
    for key, value in family.supported.items():
        found = config.get(key, value)
        if found != value:
            raise ExportError(f"{path}: {key} '{found}' is not supported; expected '{value}'. Export such a checkpoint")
    return family


def _sizes(path: Path, config: dict[str, Any], family: Family, stored: dict[str, Array]) -> Sizes:
    name = f"{family.units['classifier']}.weight"
    classifier = stored.get(name)
    if classifier is None or classifier.ndim != 2:
        expected = f"expected a tensor {name} (labels, hidden), found none"
        raise ExportError(f"{path}: {expected}; fine-tune it for its task first")
    keys = {**family.sizes, **({} if _has_types(config, family, stored) else {"types": 0})}

    counts = {word: key if isinstance(key, int) else _count(path, config, key) for word, key in keys.items()}
    if family.gives_types and not family.gives_types(config, read_tokenizer_config(path)):
        counts["types"] = 1  # the model has more, but was trained with texts of one type alone

    # The classifier's rows are the labels, of which not every config says how many there are.
    sizes = Sizes(
        **counts,
        embedding=_count(path, config, "embedding_size") if "projection" in family.units else counts["hidden"],
        labels=classifier.shape[0],
    )
    if sizes.hidden % sizes.heads:
        hidden = family.sizes["hidden"]
        raise ExportError(f"{path / 'config.json'}: expected {hidden} to be a multiple of the heads, found {sizes}")
    return sizes


def _has_types(config: dict[str, Any], family: Family, stored: dict[str, Array]) -> bool:
    """Return whether a model has a table of token types, or should; Bort's has none, since it tells none apart."""
    key = family.sizes["types"]
    table = f"{family.units.get('type')}.weight"
    return isinstance(key, int) or table in stored or config.get(key, 0) not in (0, 1)


def _layers(path: Path, elastic: ElasticManifest | None, count: int) -> tuple[int, ...]:
    """Return the numbers of the layers: elastic.json's, where some were left out of a larger model, else 0, 1, ..."""
    layers = (elastic.layers if elastic else ()) or tuple(range(count))
    if len(layers) != count or list(layers) != sorted(set(layers)) or layers[0] < 0:
        expected = f"expected the numbers of {count} layers, from 0 up in their order"
        raise ExportError(f"{path / ELASTIC}: {expected}, found {list(layers)}; make the checkpoint again")
    return layers


def _count(path: Path, config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    # By its type: to isinstance, True is a whole number.
    if type(value) is not int or value < 1:
        found = "nothing" if value is None else repr(value)[:40]
        advice = "download the checkpoint again"
        raise ExportError(f"{path / 'config.json'}: expected a whole number above 0 for {key}, found {found}; {advice}")
    return value


def _layer_norm_eps(path: Path, config: dict[str, Any]) -> float:
    value = config.get("layer_norm_eps", 1e-12)
    if type(value) not in (int, float) or not 0 <= value < 1:
        found = f"expected a layer_norm_eps of 0 to 1, found {repr(value)[:40]}"
        raise ExportError(f"{path / 'config.json'}: {found}; download it again")
    return float(value)


def _take(path: Path, stored: dict[str, Array], name: str, expected: tuple[int, ...]) -> Array:
    if name not in stored:
        raise ExportError(f"{path}: tensor {name} {expected} is missing; the checkpoint and its config do not fit")
    tensor = stored[name]
    if tensor.shape != expected:
        found = f"expected tensor {name} of shape {expected}, found {tensor.shape}"
        raise ExportError(f"{path}: {found}; check config.json")
    # What a training that diverged leaves: every answer would be undefined.
    if not np.isfinite(tensor).all():
        raise ExportError(f"{path}: tensor {name} holds infinite or undefined numbers; train the checkpoint again")
    return tensor


def _labels(path: Path, config: dict[str, Any], given: tuple[str, ...] | None, count: int) -> tuple[str, ...]:
    named, advice = config.get("id2label") or {}, "give them with --labels"
    if not isinstance(named, dict) or not all(isinstance(label, str) for label in named.values()):
        raise ExportError(f"{path / 'config.json'}: expected names for id2label; {advice}")
    # As transformers names those for which a config has no name.
    labels = given or tuple(named.get(str(number), f"LABEL_{number}") for number in range(count))
    if len(labels) != count or len(set(labels)) != count:
        raise ExportError(f"{path}: expected {count} different labels, found {listed(labels)}; {advice}")
    return labels


def weight_file(path: Path) -> Path:
    """Return the file that holds a checkpoint's weights.

    Raises:
        ExportError: there is none that can be read.
    """
    # The first needs no torch.
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (path / name).is_file():
            return path / name
    raise ExportError(f"{path}: expected model.safetensors or pytorch_model.bin, found neither; save it in one file")


def read_tensors(path: Path) -> dict[str, Array]:
    """Return a checkpoint's floating-point tensors as float32, by their names in the file.

    Raises:
        ExportError: the file is missing, truncated or damaged.
    """
    file = weight_file(path)
    if file.suffix == ".bin":
        return _read_torch(file)
    try:
        # What is no float is a buffer, such as the position_ids of older checkpoints.
        with safe_open(file, framework="np") as tensors:
            floating = [name for name in tensors.keys() if "F" in tensors.get_slice(name).get_dtype()]  # noqa: SIM118
            return {name: np.asarray(tensors.get_tensor(name)).astype(np.float32) for name in floating}
    except (SafetensorError, OSError, ValueError, struct.error) as problem:
        raise ExportError(f"{file} cannot be read: {_one_line(problem)}; download the checkpoint again") from None


def _read_torch(file: Path) -> dict[str, Array]:
    try:
        import torch
    except ImportError:
        raise ExportError(f"reading {file} needs torch; pip install torch, or save it as safetensors") from None
    try:
        # weights_only: a pickle may run any code when it is loaded.
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {
            name: tensor.float().numpy()
            for name, tensor in state.items()
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
        }
    except Exception as problem:  # torch raises many kinds: pickle, zip, runtime, attribute errors
        raise ExportError(f"{file} cannot be read: {_one_line(problem)}; download the checkpoint again") from None


def _strip_old_names(stored: dict[str, Array]) -> dict[str, Array]:
    """Return the tensors with the names that checkpoints converted from TensorFlow gave their norms put right."""
    return {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for name, tensor in stored.items()
    }


def _one_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0]
