"""docs/architecture.md names every file, and docs/glossary.md only what there is."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def tree() -> Iterator[str]:
    """Yield the path of each line of the tree; a folder's ends in a slash."""
    folders: list[str] = []
    block = ARCHITECTURE[ARCHITECTURE.index("## The tree") :]
    for indent, name in re.findall(r"^((?:    )+)(\S+)(?:  |$)", block, re.MULTILINE):
        folders[len(indent) // 4 - 1 :] = [name]
        yield "".join(folders)


def files() -> set[str]:
    """Return the path of every module, but for the files that make packages of folders."""
    found = [path for top in ("edgebert", "exporters") for path in (ROOT / top).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"}


def test_the_tree_names_every_file_and_no_other() -> None:
    assert {path for path in tree() if path.endswith(".py")} == files()


def test_the_tree_names_no_folder_that_is_not_there() -> None:
    assert [path for path in tree() if path.endswith("/") and not (ROOT / path).is_dir()] == []


def test_the_table_of_packages_is_in_the_order_of_the_imports() -> None:
    from test_imports import PACKAGES

    assert re.findall(r"^\| `(\w+)` \|", ARCHITECTURE, re.M) == PACKAGES[1:]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.full] if ".elastic." in path or ".exporters." in path else [])
        for path in re.findall(r"\| `([\w.]+)` \|$", GLOSSARY, re.M)
    ],
)
def test_a_word_of_the_glossary_names_something_in_the_code(path: str) -> None:
    names, rest = path.split("."), []
    while names:
        try:
            value = import_module(".".join(names))
            break
        except ModuleNotFoundError:
            rest.insert(0, names.pop())
    for name in rest:
        value = getattr(value, name)


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^\| ([^|`]+?) \|", GLOSSARY, re.M)[2:]
    assert words == sorted(words)
