"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict.

Each name is imported when it is first used: `edgebert --help` needs none of them, and a device has nothing of what
`export` needs. What the import does is to switch ONNX Runtime's telemetry off.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import edgebert.telemetry  # noqa: F401  # before anything imports ONNX Runtime
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.version import __version__

if TYPE_CHECKING:
    from edgebert.choosing.selection import Budget, Selection, select
    from edgebert.exporters.build import export
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.measuring.evaluation import evaluate
    from edgebert.measuring.profiler import profile
    from edgebert.serving.bulk import predict_all
    from edgebert.serving.predictor import Predictor, load
    from edgebert.serving.vector_file import read_embeddings
    from edgebert.subnet import Subnet
    from edgebert.tasks.embeddings import Embeddings

__all__ = [
    "Budget",
    "BudgetError",
    "Bundle",
    "BundleError",
    "DeviceProfile",
    "EdgeBertError",
    "Embeddings",
    "ExportError",
    "Predictor",
    "ProfileError",
    "Selection",
    "Subnet",
    "__version__",
    "evaluate",
    "export",
    "load",
    "predict_all",
    "profile",
    "read_embeddings",
    "select",
]

# Where `__getattr__` finds them; type checkers and editors read the imports above, which never run.
_MODULES = {
    "Budget": "choosing.selection",
    "Bundle": "inputs.bundle",
    "DeviceProfile": "measuring.device_profile",
    "Embeddings": "tasks.embeddings",
    "Predictor": "serving.predictor",
    "Selection": "choosing.selection",
    "Subnet": "subnet",
    "evaluate": "measuring.evaluation",
    "export": "exporters.build",
    "load": "serving.predictor",
    "predict_all": "serving.bulk",
    "profile": "measuring.profiler",
    "read_embeddings": "serving.vector_file",
    "select": "choosing.selection",
}


def __getattr__(name: str) -> Any:
    """Return a public name from the module that holds it."""
    if name not in _MODULES:
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    try:
        module = import_module(f"edgebert.{_MODULES[name]}")
    except ImportError as problem:
        if name != "export":
            raise
        # An AttributeError, so that `hasattr` and `help` work on a device too.
        raise AttributeError(f"exporting needs {problem.name}; pip install 'edgebert[export]'") from None
    # Once: the next look-up finds the name without coming here.
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _MODULES.keys())
