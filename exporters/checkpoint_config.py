"""Reads a checkpoint's config.json: which family it is of, its sizes, and what else decides its forward pass.

What transformers ignores is ignored; what changes an answer and is not computed here is refused by its name. Knows
nothing about weights.
"""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import records
from edgebert.errors import ExportError
from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.checkpoint import Settings
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.family import Family

# Files beside config.json and keys of it which make transformers read other files, or change what it has read.
_ADAPTER = "adapter_config.json"
_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "configuration_files": (None, []),
    "transformers_weights": (None,),
    "quantization_config": (None,),
    "per_layer_config": (None, {}),
}
# Larger ones are no model's, and would take all memory before a tensor is missed.
_MOST, _MOST_LAYERS = 2**24, 1000


@dataclass(frozen=True)
class Architecture:
    """What config.json says of a model: `counts` are numbers by words of `Sizes`, all but that of the labels."""

    config: Mapping[str, Any]
    family: Family
    counts: Mapping[str, int]
    settings: Settings


def read_architecture(path: Path) -> Architecture:
    """Return the architecture of a checkpoint folder, whose model may have a head or none.

    Raises:
        ExportError: config.json cannot be read, is of an unknown family, or asks for what is not supported.
    """
    config = read_config(path)
    family = _family(path, config)
    # An alias is read last by transformers, and so wins over the family's own name of a key.
    config |= {own: config[alias] for alias, own in family.aliases.items() if alias in config}
    _check_supported(path, {**_SUPPORTED, **family.supported}, config)
    if (path / _ADAPTER).exists():
        raise ExportError(f"{path}: an adapter ({_ADAPTER}) is not supported; merge it into the model and save that")

    counts = _counts(path, config, family)
    return Architecture(config, family, counts, _settings(path, config, family, counts))


def read_config(path: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a checkpoint's config.json, or another JSON file of its folder.

    Raises:
        ExportError: there is none, or it is no JSON object.
    """
    file = path / name
    if not file.exists():
        raise ExportError(f"cannot read {file}: {os.strerror(errno.ENOENT)}; give the folder of a Hugging Face model")
    content = records.read_bytes(file, ExportError, most_bytes=records.MAX_JSON_BYTES)
    try:
        found = json.loads(content.decode())
    # A file that is nested thousands of levels deep is a RecursionError.
    except (ValueError, RecursionError) as problem:
        raise ExportError(f"{file} is not JSON: {problem}; download the checkpoint again") from None
    if not isinstance(found, dict):
        raise ExportError(f"{file}: expected a JSON object, found {shown(found)}; download the checkpoint again")
    return found


def read_tokenizer_config(path: Path) -> dict[str, Any]:
    """Return a checkpoint's tokenizer_config.json, nothing if it has none; raises as `read_config`."""
    return read_config(path, "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}


def shown(value: Any) -> str:
    """Return a value of a JSON file for a message, in one short piece."""
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _family(path: Path, config: Mapping[str, Any]) -> Family:
    found = config.get("model_type", "bert")  # the oldest configs, BERT's, do not name it
    family = next((family for family in FAMILIES if found in family.model_types), None)
    if family is None:
        known = ", ".join(name for family in FAMILIES for name in family.model_types)
        raise ExportError(f"{path}: model_type {shown(found)} is not supported; expected one of {known}")
    return family


def _check_supported(path: Path, supported: Mapping[str, tuple[Any, ...]], config: Mapping[str, Any]) -> None:
    for key, values in supported.items():
        if key in config and config[key] not in values:
            expected = " or ".join("nothing" if value is None else shown(value) for value in values)
            found = f"{path / 'config.json'}: {key} {shown(config[key])} is not supported"
            raise ExportError(f"{found}; expected {expected}, use another checkpoint")


def _counts(path: Path, config: Mapping[str, Any], family: Family) -> dict[str, int]:
    keys = dict(family.sizes)
    # A model may have no types, or not say how many.
    if isinstance(keys["types"], str) and config.get(keys["types"], 0) == 0:
        keys["types"] = 0
    counts = {word: key if isinstance(key, int) else read_count(path, config, key) for word, key in keys.items()}
    # The key of a family that has no projection is another model's, and ignored.
    has_projection = "projection" in family.units
    counts["embedding"] = read_count(path, config, "embedding_size") if has_projection else counts["hidden"]

    if counts["layers"] > _MOST_LAYERS:
        found = f"expected at most {_MOST_LAYERS} for {family.sizes['layers']}, found {counts['layers']}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again")
    _check_heads(path, config, family, counts)
    return counts


def _check_heads(path: Path, config: Mapping[str, Any], family: Family, counts: Mapping[str, int]) -> None:
    key, hidden, heads = family.sizes["hidden"], counts["hidden"], counts["heads"]
    if hidden % heads:
        found = f"expected {key} to be a multiple of the heads, found {hidden} for {heads} heads"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again")
    # A key of XLNet's, which other families ignore; without a value it is what it must be.
    head_size = (config.get("d_head") if family.relative else None) or hidden // heads
    if head_size != hidden // heads:
        found = f"expected {hidden // heads} for d_head, {key} by heads, found {shown(head_size)}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again")


def read_count(path: Path, config: Mapping[str, Any], key: str) -> int:
    """Return a number of config.json that counts something, or raise an ExportError if it is none."""
    value = config.get(key)
    # By its type: to isinstance, True is a whole number.
    if type(value) is not int or not 1 <= value < _MOST:
        found = shown(value) if key in config else "nothing"
        found = f"expected a whole number above 0 for {key}, found {found}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again ({_MOST - 1} is the most)")
    return value


def _settings(path: Path, config: Mapping[str, Any], family: Family, counts: Mapping[str, int]) -> Settings:
    padding = _padding(path, config, family, counts)
    clamp = config.get("clamp_len", -1) if family.relative else -1
    if type(clamp) is not int or abs(clamp) >= _MOST:
        found = f"expected a whole number for clamp_len, found {shown(clamp)}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again")
    return Settings(
        layer_norm_eps=_layer_norm_eps(path, config) if family.has_layer_norm_eps else 1e-12,
        activation=_activation(path, config, family.activation_key, "gelu"),
        head_activation=_head_activation(path, config, family),
        first_position=0 if padding is None else padding + 1,
        padding=padding if padding is not None and padding >= 0 else None,
        longest_distance=clamp if clamp > 0 else None,
    )


def _head_activation(path: Path, config: Mapping[str, Any], family: Family) -> str:
    key = family.head_activation_key
    if key is None:
        return family.head_activation
    # To transformers an empty word is no activation.
    return "linear" if config.get(key) == "" else _activation(path, config, key, family.head_activation)


def _padding(path: Path, config: Mapping[str, Any], family: Family, counts: Mapping[str, int]) -> int | None:
    """Return the token that takes no position, where positions are counted so."""
    if not family.positions_skip_padding:
        return None
    value = config.get("pad_token_id", 1)
    most = min(counts["vocabulary"], counts["positions"]) - 1
    # transformers counts from -1, for which there is no token, as from any other one.
    if type(value) is not int or not -1 <= value < most:
        expected = f"expected a token number below {most} for pad_token_id, from which positions are counted"
        raise ExportError(f"{path / 'config.json'}: {expected}, found {shown(value)}; download the checkpoint again")
    return value


def _activation(path: Path, config: Mapping[str, Any], key: str, usual: str) -> str:
    found = config.get(key, usual)
    if not isinstance(found, str) or found not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ExportError(f"{path / 'config.json'}: {key} {shown(found)} is not supported; expected one of {known}")
    return found


def _layer_norm_eps(path: Path, config: Mapping[str, Any]) -> float:
    value = config.get("layer_norm_eps", 1e-12)
    # Beyond that float32 ends.
    if type(value) not in (int, float) or not 0 <= value < 1e38:
        found = f"expected a layer_norm_eps of 0 or more, found {shown(value)}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again")
    return float(value)
