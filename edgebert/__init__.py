"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgebert.choosing.selection import Budget, Selection, select
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile
from edgebert.serving.predictor import Predictor, load
from edgebert.subnet import Subnet
from edgebert.version import __version__

if TYPE_CHECKING:
    from edgebert.exporters.build import export
    from edgebert.measuring.evaluation import evaluate
    from edgebert.serving.bulk import predict_all

__all__ = [
    "Budget",
    "BudgetError",
    "Bundle",
    "BundleError",
    "DeviceProfile",
    "EdgeBertError",
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
    "select",
]


# Imported when they are asked for: a device lacks what exporting needs, and few programs need the others.
_LATER = {
    "evaluate": "edgebert.measuring.evaluation",
    "export": "edgebert.exporters.build",
    "predict_all": "edgebert.serving.bulk",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    try:
        return getattr(import_module(_LATER[name]), name)
    except ImportError as problem:
        # An AttributeError, so that `hasattr` and `help` work on a device too.
        raise AttributeError(f"edgebert.{name} needs {problem.name}; pip install 'edgebert[export]'") from None


def __dir__() -> list[str]:
    return [*globals(), *_LATER]
