"""Edits of JSON that know its form: keys dropped, doubled and renamed, values of another type, extreme or nested."""

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from fuzz.edits import Arguments, Edit

# Stand for themselves in a tree, and are replaced in its text: what no tree can hold.
_RAW, _DOUBLE = "\x00raw\x00", "\x00double\x00"

TEXTS = (
    "",
    " ",
    "\x00",
    "\x1b[2J",
    "a\nb",
    "\u202egnp",
    "\ufeffa",
    "é" * 40,
    "東京",
    "\U0001f600",
    "../bait.bin",
    "/etc/hostname",
    ".",
    "NaN",
    "null",
    "1e3",
    "٣",
    "²",
    "%s%n{0}",
    "x" * 300,
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    1.5,
    255,
    65536,
    2**31,
    2**32,
    2**53 + 1,
    2**63,
    2**64,
    -(2**63),
    1e-320,
    1e30,
    1e308,
)
OTHERS = (None, True, False, [], {}, [[]], [{}], {"": None}, ["a", 1], {"a": {"b": 1}})
# Written as they are.
RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "1E400",
    "01",
    "1.",
    "-",
    "1" * 5000,
    '"\\ud800"',
    '"\\udc00a"',
)
RAW += ('"\\u0000"', "'a'", "tru", "/**/1", '"\t"', "[1,]", '{"a":1,}', '"' + "y" * 2_000_000 + '"')
DEPTHS = (60, 990, 1100, 5000, 100_000)

Path = list[str | int]


def paths_in(tree: Any, path: Path | None = None) -> Iterator[Path]:
    """Yield the path of every value below a tree, of long lists only that of a few."""
    path = path or []
    items = [*tree.items()] if isinstance(tree, dict) else [*enumerate(tree)] if isinstance(tree, list) else []
    for key, value in items if len(items) <= 40 else [*items[:20], *items[-20:]]:
        yield [*path, key]
        yield from paths_in(value, [*path, key])


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


@functools.lru_cache(128)
def _paths_by_depth(content: bytes) -> list[list[Path]]:
    paths = sorted(paths_in(_read(content)), key=len)
    return [list(some) for _, some in itertools.groupby(paths, len)]


def _draw(random: Random, content: bytes) -> Path | None:
    """Return a path, a short one as often as a long one: what few keys hold decides most."""
    by_depth = _paths_by_depth(content)
    return random.choice(random.choice(by_depth)) if by_depth else None


def _with(more: Callable[[Random], Arguments]) -> Callable[[Random, bytes], Arguments | None]:
    """Return what draws a path and then further arguments."""

    def propose(random: Random, content: bytes) -> Arguments | None:
        path = _draw(random, content)
        return None if path is None else [path, *more(random)]

    return propose


def _changing(change: Callable[..., None]) -> Callable[..., bytes]:
    """Return what reads JSON, changes the container and the key that a path leads to, and writes it again."""

    def apply(content: bytes, path: Path, *arguments: Any) -> bytes:
        tree = _read(content)
        holder = tree
        try:
            for key in path[:-1]:
                holder = holder[key]
            change(holder, path[-1], *arguments)
            return written(tree)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError):
            return content  # an earlier step left no such place

    return apply


def written(tree: Any) -> bytes:
    """Return a tree as JSON, with what stands for raw text and doubled keys put in."""
    text = json.dumps(tree, ensure_ascii=False)
    text = text.replace(json.dumps(_DOUBLE)[1:-1], "")
    parts = text.split(json.dumps(_RAW)[1:-1])
    # '"' + mark + text of a JSON string + mark + '"'
    for place in range(1, len(parts), 2):
        parts[place] = json.loads(f'"{parts[place]}"')
        parts[place - 1] = parts[place - 1][:-1]
        parts[place + 1] = parts[place + 1][1:]
    return "".join(parts).encode("utf-8", "surrogatepass")


def _raw(text: str) -> str:
    return f"{_RAW}{text}{_RAW}"


def _set(holder: Any, key: Any, value: Any) -> None:
    holder[key] = value


def _nest(holder: Any, key: Any, depth: int, kind: str) -> None:
    first, last = ('{"a":', "}") if kind == "{" else ("[", "]")
    holder[key] = _raw(first * depth + "1" + last * depth)


def _double(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, dict):
        holder[f"{key}{_DOUBLE}"] = value
    else:
        holder.insert(key, holder[key])


def _rename(holder: Any, key: Any, name: str) -> None:
    items = list(holder.items())
    holder.clear()
    holder.update({name if known == key else known: value for known, value in items})


def _add(holder: Any, key: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
    else:
        holder.append(value)


def _copy(holder: Any, key: Any, source: Path, root: Any) -> None:
    value = root
    for one in source:
        value = value[one]
    holder[key] = json.loads(json.dumps(value))


def _scale(holder: Any, key: Any, factor: float) -> None:
    value = holder[key]
    holder[key] = type(value)(value * factor) if isinstance(value, int | float) else value * 2


def _propose_copy(random: Random, content: bytes) -> Arguments | None:
    target, source = _draw(random, content), _draw(random, content)
    return None if target is None else [target, source]


def _apply_copy(content: bytes, path: Path, source: Path) -> bytes:
    return _changing(lambda holder, key: _copy(holder, key, source, _read(content)))(content, path)


def _value(random: Random) -> Any:
    return random.choice(random.choice((TEXTS, NUMBERS, OTHERS)))


_NAMES = ("", "a", "id", "file", "__class__", "schema_version", "text ", "\u0000", "x" * 300)

JSON_EDITS = {
    "drop": Edit(_with(lambda r: []), _changing(lambda holder, key: holder.pop(key))),
    "set": Edit(_with(lambda r: [_value(r)]), _changing(_set)),
    "raw": Edit(_with(lambda r: [r.choice(RAW)]), _changing(lambda holder, key, text: _set(holder, key, _raw(text)))),
    "nest": Edit(_with(lambda r: [r.choice(DEPTHS), r.choice("[{")]), _changing(_nest)),
    "double": Edit(_with(lambda r: [_value(r)]), _changing(_double)),
    "rename": Edit(_with(lambda r: [r.choice(_NAMES)]), _changing(_rename)),
    "add": Edit(_with(lambda r: [r.choice(_NAMES), _value(r)]), _changing(_add)),
    "scale": Edit(_with(lambda r: [r.choice((-1, 0, 0.5, 0.9, 1.1, 2, 1000))]), _changing(_scale)),
    "copy": Edit(_propose_copy, _apply_copy),
}
