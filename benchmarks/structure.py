"""How large are the pieces that edgebert is made of?

Counts lines of files and functions, parameters, and comments in `edgebert/` and `exporters/`. A line of a function is
any from `def` to its end, docstring included; `self` and `cls` are no parameters. `tests/test_structure.py` holds the
limits.

    python benchmarks/structure.py
"""

import argparse
import ast
import tokenize
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from edgebert.cli.output import print_json, print_table

ROOT = Path(__file__).parent.parent
FOLDERS = ("edgebert", "exporters")


@dataclass(frozen=True)
class Function:
    """A function or method: where it stands, how long it is and how many parameters it has."""

    file: str
    name: str
    lines: int
    parameters: int


@dataclass(frozen=True)
class File:
    """A module: all its lines, those of comments, and the functions in it."""

    name: str
    lines: int
    comments: int
    functions: tuple[Function, ...]


def read_files(root: Path = ROOT) -> list[File]:
    """Return every module of the folders, in the order of their names."""
    return [read_file(path, root) for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]


def read_file(path: Path, root: Path) -> File:
    text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
    with tokenize.open(path) as file:
        comments = {
            token.start[0] for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT
        }
    return File(name, len(text.splitlines()), len(comments), tuple(functions_in(ast.parse(text), name)))


def functions_in(tree: ast.Module, file: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            own = [name for name in names if name not in ("self", "cls")]
            yield Function(file, node.name, (node.end_lineno or node.lineno) - node.lineno + 1, len(own))


def summary(files: list[File]) -> dict[str, float]:
    functions = [function for file in files for function in file.functions]
    lengths = [function.lines for function in functions]
    total = sum(file.lines for file in files)
    return {
        "files": len(files),
        "lines": total,
        "longest file": max(file.lines for file in files),
        "functions": len(functions),
        "median lines of a function": median(lengths),
        "90th percentile": quantiles(lengths, n=10)[-1],
        "longest function": max(lengths),
        "most parameters": max(function.parameters for function in functions),
        "comments in 100 lines": round(100 * sum(file.comments for file in files) / total, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=int, default=10, help="how many of the longest files and functions to name")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = read_files()
    found = summary(files)
    if options.json:
        print_json({"summary": found, "files": [asdict(file) for file in files]})
        return
    print_table([[name, f"{value:g}"] for name, value in found.items()], ["what", "number"])
    print()
    longest_files = sorted(files, key=lambda file: -file.lines)[: options.longest]
    print_table([[file.name, file.lines, file.comments] for file in longest_files], ["file", "lines", "comments"])
    print()
    functions = sorted((function for file in files for function in file.functions), key=lambda one: -one.lines)
    rows = [[one.file, one.name, one.lines, one.parameters] for one in functions[: options.longest]]
    print_table(rows, ["file", "function", "lines", "parameters"])


if __name__ == "__main__":
    main()
