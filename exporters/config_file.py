"""Reads the JSON files of a checkpoint folder, and single values of config.json. Knows no family."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from edgebert import records
from edgebert.errors import ExportError

MOST = 2**24  # larger counts are no model's, and would take all memory before a tensor is missed


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


def check_values(path: Path, config: Mapping[str, Any], supported: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise an ExportError if a key of config.json is there and has none of the values that are supported."""
    for key, values in supported.items():
        if key in config and config[key] not in values:
            expected = " or ".join("nothing" if value is None else shown(value) for value in values)
            found = f"{path / 'config.json'}: {key} {shown(config[key])} is not supported"
            raise ExportError(f"{found}; expected {expected}, use another checkpoint")


def refuse(path: Path, problem: str) -> NoReturn:
    """Raise an ExportError for what config.json cannot mean."""
    raise ExportError(f"{path / 'config.json'}: {problem}; download the checkpoint again")


def read_count(path: Path, config: Mapping[str, Any], key: str) -> int:
    """Return a number of config.json that counts something, or raise an ExportError if it is none."""
    value = config.get(key)
    # By its type: to isinstance, True is a whole number.
    if type(value) is not int or not 1 <= value < MOST:
        found = shown(value) if key in config else "nothing"
        found = f"expected a whole number above 0 for {key}, found {found}"
        raise ExportError(f"{path / 'config.json'}: {found}; download the checkpoint again ({MOST - 1} is the most)")
    return value
