"""Reads what a sentence-transformers folder has behind its network: how token vectors become the vector of a text.

It is read as sentence-transformers 6 reads it; what changes a vector and is not computed here is refused by its name.
Knows nothing about weights and graphs.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from edgebert import records
from edgebert.errors import ExportError, listed
from edgebert.exporters.config_file import read_config, read_count, shown
from edgebert.exporters.sentence_layers import POOLINGS, Dense, Normalize, SentenceLayers
from edgebert.tasks.embeddings import Similarity

MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
# What the settings of the network are called, the first that is there.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

# Keys of older folders, each for one of them, in the order in which several are put side by side.
_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# torch's modules, by the names of activations.py.
_ACTIVATIONS = {
    "linear.Identity": "linear",
    "activation.Tanh": "tanh",
    "activation.GELU": "gelu",
    "activation.ReLU": "relu",
    "activation.ReLU6": "relu6",
    "activation.SiLU": "silu",
    "activation.Sigmoid": "sigmoid",
    "activation.Mish": "mish",
}
_INPUT = {"module_input_name": ("sentence_embedding",), "module_output_name": ("sentence_embedding", None)}
# Values that the keys of each module may have, if they are there: others change what is computed.
_POOLING_KEYS: Mapping[str, tuple[Any, ...]] = {"include_prompt": (True,)}
_DENSE_KEYS: Mapping[str, tuple[Any, ...]] = {**_INPUT, "bias": (True, False), "use_residual": (False,)}
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
_TRANSFORMER_KEYS: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",),
    "modality_config": ({"text": _TEXT},),
    "module_output_name": ("token_embeddings",),
    "tokenizer_name_or_path": (None,),
    "do_lower_case": (False, True),
    **dict.fromkeys(("processing_kwargs", "processor_kwargs", "tokenizer_args", "config_kwargs", "config_args"), ({},)),
    **dict.fromkeys(("query_length", "document_length", "query_expansion"), (None,)),
}


def is_sentence_folder(path: Path) -> bool:
    """Return whether a folder is one of sentence-transformers' embedding models; it has folders for others too."""
    if not (path / MODULES).is_file():
        return False
    kind = _read_settings(path).get("model_type", "SentenceTransformer")
    return bool(kind == "SentenceTransformer")


def read_sentence_folder(path: Path, hidden: int) -> SentenceLayers:
    """Return what a folder has behind a network whose token vectors have so many dimensions.

    Raises:
        ExportError: a file cannot be read, or asks for what is not supported.
    """
    (first, transformer), *modules = _modules(path)
    if first != "Transformer" or transformer:
        what = f"found {first} in '{transformer}'" if transformer else f"found {first}"
        advice = "load it with sentence-transformers and save it again"
        raise ExportError(f"{path / MODULES}: expected the Transformer in the folder itself, {what}; {advice}")
    if not modules or modules[0][0] != "Pooling":
        what = modules[0][0] if modules else "nothing"
        raise ExportError(f"{path / MODULES}: expected Pooling behind the Transformer, found {what}; add it")
    found = SentenceLayers(poolings=_poolings(path / modules[0][1], hidden), **_texts(path), **_settings(path))

    for kind, folder in modules[1:]:
        width = found.size(hidden)
        match kind:
            case "Dense":
                step: Dense | Normalize = _dense(path, folder, width)
            case "Normalize":
                _check(path / folder, _read(path / folder), _INPUT)
                step = Normalize()
            case _:
                known = "Transformer, Pooling, Dense and Normalize"
                raise ExportError(f"{path / MODULES}: module {shown(kind)} is not supported; expected {known}")
        found = replace(found, steps=(*found.steps, step))
    if found.dims and found.dims[0] > found.size(hidden):
        expected = f"expected a truncate_dim of at most {found.size(hidden)}"
        raise ExportError(f"{path / _SETTINGS}: {expected}, found {found.dims[0]}; correct it")
    return found


def sentence_files(path: Path) -> list[str]:
    """Return the names, below a folder, of what it has for sentence-transformers beside the network; none if none."""
    if not is_sentence_folder(path):
        return []
    folders = {folder for _, folder in _modules(path) if folder}
    found = [path / name for name in (MODULES, _SETTINGS, *_TRANSFORMER_CONFIGS)]
    found += [file for folder in folders if (path / folder).is_dir() for file in (path / folder).iterdir()]
    return sorted(str(file.relative_to(path)) for file in found if file.is_file())


def _modules(path: Path) -> list[tuple[str, str]]:
    """Return the names of the modules' classes and their folders, in their order."""
    content = records.read_bytes(path / MODULES, ExportError, most_bytes=records.MAX_JSON_BYTES)
    try:
        entries = [(entry["type"], entry["path"]) for entry in json.loads(content)]
    except (ValueError, RecursionError, TypeError, KeyError):
        entries = []
    if not entries or not all(isinstance(value, str) for entry in entries for value in entry):
        raise ExportError(f"{path / MODULES}: expected a list of modules with type and path; download it again")
    for kind, folder in entries:
        # A folder may lead out of the checkpoint's.
        if not kind.startswith("sentence_transformers.") or Path(folder).is_absolute() or ".." in Path(folder).parts:
            what = f"module {shown(kind)} in {shown(folder)}"
            raise ExportError(f"{path / MODULES}: {what} is not supported; expected ones of sentence-transformers")
    return [(kind.rpartition(".")[2], folder) for kind, folder in entries]


def _poolings(folder: Path, hidden: int) -> tuple[str, ...]:
    config = read_config(folder)  # it must be there, where other modules do without
    _check(folder, config, _POOLING_KEYS)
    key = "embedding_dimension" if "embedding_dimension" in config else "word_embedding_dimension"
    if config.get(key) != hidden:
        expected = f"expected {hidden} for {key}, as the network has"
        raise ExportError(f"{folder / 'config.json'}: {expected}, found {shown(config.get(key))}; correct it")

    found = config.get("pooling_mode")
    if found is None:
        found = [mode for old, mode in _OLD_POOLINGS.items() if config.get(old, False)] or "mean"
    modes = (found,) if isinstance(found, str) else tuple(found) if isinstance(found, list) else ()
    if not modes or not all(mode in POOLINGS for mode in modes):
        raise ExportError(f"{folder / 'config.json'}: expected poolings of {listed(POOLINGS)}, found {shown(found)}")
    return modes


def _dense(path: Path, folder: str, width: int) -> Dense:
    config, place = _read(path / folder), path / folder
    _check(place, config, _DENSE_KEYS)
    inputs, outputs = (read_count(place, config, key) for key in ("in_features", "out_features"))
    if inputs != width:
        raise ExportError(f"{place / 'config.json'}: expected {width} for in_features, found {inputs}; correct it")
    named = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    known = {f"torch.nn.modules.{name}": ours for name, ours in _ACTIVATIONS.items()}
    if not isinstance(named, str) or named not in known:
        what = f"activation_function {shown(named)} is not supported"
        raise ExportError(f"{place / 'config.json'}: {what}; expected one of {listed(list(known))}")
    return Dense(folder, inputs, outputs, config.get("bias", True), known[named])


def _texts(path: Path) -> dict[str, Any]:
    """Return how texts are read, by names of `SentenceLayers`."""
    name = next((name for name in _TRANSFORMER_CONFIGS if (path / name).is_file()), None)
    config = read_config(path, name) if name else {}
    _check(path, config, _TRANSFORMER_KEYS, name or "")
    longest = config.get("max_seq_length")
    if longest is not None:
        read_count(path, config, "max_seq_length")
    return {"max_length": longest, "lowers": config.get("do_lower_case", False)}


def _settings(path: Path) -> dict[str, Any]:
    """Return prompts, similarity and where vectors are cut, by names of `SentenceLayers`."""
    config, file = _read_settings(path), path / _SETTINGS
    # Others, of models of other kinds, are taken for the usual one.
    found = config.get("similarity_fn_name")
    similarity = found if found in get_args(Similarity) else "cosine"

    given = config.get("prompts", {})
    if not isinstance(given, dict) or not all(isinstance(text, str | None) for text in given.values()):
        raise ExportError(f"{file}: expected texts by their names for prompts, found {shown(given)}; correct it")
    prompts = {"query": "", "document": ""} | {name: text or "" for name, text in given.items()}
    default = config.get("default_prompt_name")
    if default is not None and not (isinstance(default, str) and default in prompts):
        expected = f"expected a default_prompt_name of {listed(list(prompts))}"
        raise ExportError(f"{file}: {expected}, found {shown(default)}; correct it")

    dims = config.get("truncate_dim")
    if dims is not None and (type(dims) is not int or dims < 1):
        raise ExportError(f"{file}: expected a whole number above 0 for truncate_dim, found {shown(dims)}; correct it")
    return {
        "similarity": similarity,
        "prompts": prompts,
        "default_prompt": default,
        "dims": () if dims is None else (dims,),
    }


def _read_settings(path: Path) -> dict[str, Any]:
    return read_config(path, _SETTINGS) if (path / _SETTINGS).is_file() else {}


def _read(folder: Path) -> dict[str, Any]:
    """Return the config.json of a module; those without settings need not have one."""
    return read_config(folder) if (folder / "config.json").is_file() else {}


def _check(folder: Path, config: Mapping[str, Any], keys: Mapping[str, tuple[Any, ...]], name: str = "") -> None:
    """Raise an ExportError if a key has a value that is not supported."""
    for key, values in keys.items():
        if key in config and config[key] not in values:
            expected = " or ".join(map(shown, values))
            what = f"{key} {shown(config[key])} is not supported"
            raise ExportError(f"{folder / (name or 'config.json')}: {what}; expected {expected}")
