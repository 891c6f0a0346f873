"""The sizes that keep the code readable: of functions, parameter lists and files. See benchmarks/structure.py."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400
MAX_MEDIAN_LINES = 8
MAX_PARAMETERS = 7
# What users call with one keyword for each of many options, as the commands of the same names have.
MANY_PARAMETERS = {"load", "profile", "export"}


def structure() -> Any:
    """Return the benchmark as a module: benchmarks are scripts and no package."""
    path = Path(__file__).parents[1] / "benchmarks" / "structure.py"
    spec = importlib.util.spec_from_file_location("structure", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


COUNTING = structure()
FILES = COUNTING.read_files()
FUNCTIONS = [function for file in FILES for function in file.functions]


def test_there_is_something_to_count() -> None:
    assert len(FILES) > 100
    assert len(FUNCTIONS) > 500


def test_no_file_is_long() -> None:
    assert {file.name: file.lines for file in FILES if file.lines > MAX_FILE_LINES} == {}


def test_no_function_is_long() -> None:
    assert [one for one in FUNCTIONS if one.lines > MAX_FUNCTION_LINES] == []


def test_no_function_has_many_parameters() -> None:
    many = [one for one in FUNCTIONS if one.parameters > MAX_PARAMETERS and one.name not in MANY_PARAMETERS]
    assert many == []


def test_half_of_the_functions_are_short() -> None:
    assert COUNTING.summary(FILES)["median lines of a function"] <= MAX_MEDIAN_LINES
