"""The packages and the doors between them: what may import what. Modules are found, not listed."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import edgebert

PACKAGE = Path(edgebert.__file__).parent
EXPORTERS = PACKAGE.parent / "exporters"  # in a checkout; an installed package has no such folder beside it
# In the order of the flow: a package imports only from those before it. "" are the files of edgebert/ itself.
PACKAGES = [
    "",
    "machine",
    "inputs",
    "tasks",
    "engines",
    "measuring",
    "choosing",
    "serving",
    "reporting",
    "browser",
    "exporters",
    "elastic",
    "cli",
]
DEVICE_PACKAGES = PACKAGES[: PACKAGES.index("exporters")]
DEVICE_LIBRARIES = {
    "cryptography",  # of the extra `web`
    "edgebert",
    "msgspec",
    "numpy",
    "onnxruntime",
    "platformdirs",
    "psutil",
    "segno",  # of the extra `web`
    "tabulate",
    "tokenizers",
    "tqdm",
}
# What a user imports first: it may look into any package of the device.
FRONT = ("edgebert", "edgebert.__main__")


def find_modules() -> dict[str, Path]:
    """Return the file of every module, by its name, wherever it lies."""
    files = {path: ("edgebert", *path.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("*.py")}
    if not (PACKAGE / "exporters").exists():
        files |= {
            path: ("edgebert", "exporters", *path.relative_to(EXPORTERS).parts) for path in EXPORTERS.rglob("*.py")
        }
    return {".".join(parts).removesuffix(".py").removesuffix(".__init__"): path for path, parts in files.items()}


MODULES = find_modules()


def package_of(name: str) -> str:
    """Return the package under edgebert that a module belongs to; "" for edgebert's own files."""
    parts = name.split(".")
    is_package = len(parts) > 2 or MODULES[name].name == "__init__.py"
    return parts[1] if len(parts) > 1 and is_package else ""


def imports(name: str) -> set[str]:
    """Return what a module imports, also inside functions: modules of ours by their full names, else as written."""
    path, found = MODULES[name], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in MODULES else str(node.module) for full in names}
    return found


def own_imports(name: str) -> set[str]:
    return {found for found in imports(name) if found.partition(".")[0] == "edgebert"}


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(FRONT)))
def test_a_package_imports_only_what_stands_before_it(name: str) -> None:
    earlier = PACKAGES[: PACKAGES.index(package_of(name)) + 1]
    assert {found for found in own_imports(name) if package_of(found) not in earlier} == set()


def test_every_package_has_a_place_in_the_order() -> None:
    assert {package_of(name) for name in MODULES} <= set(PACKAGES)


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({name: own_imports(name) for name in MODULES}).prepare()  # raises a CycleError that names them


@pytest.mark.parametrize("name", sorted(name for name in MODULES if package_of(name) in DEVICE_PACKAGES))
def test_the_device_side_imports_small_libraries_only(name: str) -> None:
    tops = {found.partition(".")[0] for found in imports(name)}
    assert tops - set(sys.stdlib_module_names) <= DEVICE_LIBRARIES


def test_only_engines_import_what_runs_graphs() -> None:
    assert {package_of(name) for name in MODULES if "onnxruntime" in imports(name)} == {"engines"}


def test_exporting_needs_torch_for_one_old_form_of_weights_and_transformers_for_tokenizers_alone() -> None:
    exporting = (name for name in MODULES if package_of(name) == "exporters")
    needing = {
        (name.rpartition(".")[2], library)
        for name in exporting
        for library in {"torch", "transformers"} & {found.partition(".")[0] for found in imports(name)}
    }
    assert needing <= {("checkpoint_reader", "torch"), ("tokenizer", "transformers")}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if package_of(name) == "cli"))
def test_verbs_import_what_is_heavy_inside_their_run(name: str) -> None:
    for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            for found in names:
                allowed = found.partition(".")[0] in sys.stdlib_module_names or found.startswith("edgebert.cli")
                assert allowed or found in ("edgebert", "edgebert.errors", "edgebert.version")


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
