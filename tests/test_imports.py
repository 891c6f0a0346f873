"""The rooms and their doors: what may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgebert

PACKAGE = Path(edgebert.__file__).parent
# In the order of the flow: a module imports only from those before it.
ORDER = [
    "version",
    "errors",
    "records",
    "subnet",
    "graph_file",
    "bundle",
    "tokenization",
    "dataset",
    "limits",
    "device",
    "progress",
    "session",
    "evaluation",
    "canary",
    "cost_model",
    "device_profile",
    "remote",
    "measuring",
    "journal",
    "profile_cache",
    "profiler",
    "selection",
    "menu",
    "cascade",
    "batches",
    "scores",
    "governor",
    "residents",
    "dispatcher",
    "stats",
    "predictor",
    "bulk",
    "answer_file",
]
ELASTIC_ORDER = [
    "manifest",
    "slices",
    "strategies",
    "families",
    "model",
    "whole",
    "data",
    "journal",
    "losses",
    "checkpoint",
    "scoring",
    "stage",
    "importance",
    "augmentation",
    "task",
    "training",
    "line",
    "ticket",
    "ticket_search",
    "costs",
    "dynabert",
    "layer_drop",
    "early_bird",
]
DEVICE_LIBRARIES = {
    "edgebert",
    "filelock",
    "msgspec",
    "numpy",
    "onnxruntime",
    "platformdirs",
    "psutil",
    "tabulate",
    "tokenizers",
    "tqdm",
}


def imports(path: Path) -> set[str]:
    """Return the full names of what a source file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


DEVICE_FILES = sorted(PACKAGE.glob("*.py"))


@pytest.mark.parametrize("path", DEVICE_FILES, ids=lambda path: path.stem)
def test_the_device_side_imports_small_libraries_only(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports(path)}
    assert tops - set(sys.stdlib_module_names) <= DEVICE_LIBRARIES


@pytest.mark.parametrize("path", DEVICE_FILES, ids=lambda path: path.stem)
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    if path.stem in ("__init__", "__main__"):
        return
    earlier = ORDER[: ORDER.index(path.stem)]
    own = {name.split(".")[1] for name in imports(path) if name.startswith("edgebert.")}
    assert own <= set(earlier)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("elastic/*.py")), ids=lambda path: path.stem)
def test_the_first_room_imports_in_its_order_and_not_from_the_second(path: Path) -> None:
    if path.stem == "__init__":
        return
    earlier = ELASTIC_ORDER[: ELASTIC_ORDER.index(path.stem)]
    names = [name.split(".") for name in imports(path)]
    assert {name[2] for name in names if name[:2] == ["edgebert", "elastic"] and len(name) > 2} <= set(earlier)
    assert not any(name[:2] == ["edgebert", "exporters"] for name in names)


@pytest.mark.parametrize("name", ["manifest", "slices"])
def test_what_the_second_room_takes_from_the_first_needs_no_torch(name: str) -> None:
    assert not any(found.startswith(("torch", "transformers")) for found in imports(PACKAGE / "elastic" / f"{name}.py"))


def test_only_one_module_imports_onnx_runtime() -> None:
    assert [path.stem for path in DEVICE_FILES if "onnxruntime" in imports(path)] == ["session"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("cli/*.py")), ids=lambda path: path.stem)
def test_verbs_import_what_is_heavy_inside_their_run(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if path.stem != "output" and isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            for name in names:
                allowed = name.partition(".")[0] in sys.stdlib_module_names or name.startswith("edgebert.cli")
                assert allowed or name in ("edgebert.errors", "edgebert.version")


BLOCKED = """
import sys
for name in ("torch", "transformers", "onnx", "safetensors"):
    sys.modules[name] = None
import edgebert
with edgebert.load() as model:
    print(model("a great film")[0]["label"], any(name.startswith("edgebert.exporters") for name in sys.modules))
"""


def test_a_text_is_answered_where_torch_transformers_and_onnx_cannot_be_imported() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("positive False\n", "")


def test_importing_edgebert_prints_and_configures_nothing() -> None:
    code = "import logging, edgebert; assert not logging.getLogger().handlers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
