"""Reads a checkpoint's config.json: which family it is of, its sizes, and what else decides its forward pass.

What transformers ignores is ignored; what changes an answer and is not computed here is refused by its name. Knows
nothing about weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.errors import ExportError
from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.checkpoint import Settings
from edgebert.exporters.config_file import check_values, read_config, read_count, refuse, shown
from edgebert.exporters.families import FAMILIES
from edgebert.exporters.family import Family, Variant

# Files beside config.json and keys of it which make transformers read other files, or change what it has read.
_ADAPTER = "adapter_config.json"
_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "configuration_files": (None, []),
    "transformers_weights": (None,),
    "quantization_config": (None,),
    "per_layer_config": (None, {}),
}
_MOST_LAYERS = 1000  # more are no model's


@dataclass(frozen=True)
class Architecture:
    """What config.json says of a model: `counts` are numbers by words of `Sizes`, all but that of the labels, and
    `absent` the units and tensors of its family that it does not have."""

    config: Mapping[str, Any]
    family: Family
    counts: Mapping[str, int]
    absent: frozenset[str]
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
    check_values(path, config, {**_SUPPORTED, **family.supported})
    if (path / _ADAPTER).exists():
        raise ExportError(f"{path}: an adapter ({_ADAPTER}) is not supported; merge it into the model and save that")

    counts = _counts(path, config, family)
    variant = family.variant(path, config, counts)
    settings = _settings(path, config, family, counts, variant)
    return Architecture(config, family, counts | {"distances": variant.distances}, variant.absent, settings)


def _family(path: Path, config: Mapping[str, Any]) -> Family:
    found = config.get("model_type", "bert")  # the oldest configs, BERT's, do not name it
    family = next((family for family in FAMILIES if found in family.model_types), None)
    if family is None:
        known = ", ".join(name for family in FAMILIES for name in family.model_types)
        raise ExportError(f"{path}: model_type {shown(found)} is not supported; expected one of {known}")
    return family


def _counts(path: Path, config: Mapping[str, Any], family: Family) -> dict[str, int]:
    keys = dict(family.sizes)
    # A model may have no types, or not say how many.
    if isinstance(keys["types"], str) and config.get(keys["types"], 0) == 0:
        keys["types"] = 0
    counts = {word: key if isinstance(key, int) else read_count(path, config, key) for word, key in keys.items()}
    # The key of a family that has no projection is another model's, and ignored.
    has_projection = "projection" in family.units
    counts["embedding"] = read_count(path, config, "embedding_size") if has_projection else counts["hidden"]

    layers, hidden, heads = counts["layers"], counts["hidden"], counts["heads"]
    if layers > _MOST_LAYERS:
        refuse(path, f"expected at most {_MOST_LAYERS} for {family.sizes['layers']}, found {layers}")
    if hidden % heads:
        expected = f"expected {family.sizes['hidden']} to be a multiple of the heads"
        refuse(path, f"{expected}, found {hidden} for {heads} heads")
    return counts


def _settings(
    path: Path, config: Mapping[str, Any], family: Family, counts: Mapping[str, int], variant: Variant
) -> Settings:
    padding = _padding(path, config, family, counts)
    return Settings(
        layer_norm_eps=_norm_eps(path, config, family),
        activation=_activation(path, config, family.activation_key, family.activation),
        head_activation=_head_activation(path, config, family),
        first_position=0 if padding is None else padding + 1,
        padding=padding if padding is not None and padding >= 0 else None,
        attention=variant.attention,
        mean_pooling=variant.mean_pooling,
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
    value = config.get("pad_token_id", 1) if family.padding is None else family.padding
    most = min(counts["vocabulary"], counts["positions"]) - 1
    # transformers counts from -1, for which there is no token, as from any other one.
    if type(value) is not int or not -1 <= value < most:
        expected = f"expected a token number below {most} for pad_token_id, from which positions are counted"
        refuse(path, f"{expected}, found {shown(value)}")
    return value


def _activation(path: Path, config: Mapping[str, Any], key: str, usual: str) -> str:
    found = config.get(key, usual)
    if not isinstance(found, str) or found not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ExportError(f"{path / 'config.json'}: {key} {shown(found)} is not supported; expected one of {known}")
    return found


def _norm_eps(path: Path, config: Mapping[str, Any], family: Family) -> float:
    if family.norm_eps_key is None:
        return family.norm_eps
    value = config.get(family.norm_eps_key, family.norm_eps)
    # Beyond that float32 ends.
    if type(value) not in (int, float) or not 0 <= value < 1e38:
        refuse(path, f"expected a {family.norm_eps_key} of 0 or more, found {shown(value)}")
    return float(value)
