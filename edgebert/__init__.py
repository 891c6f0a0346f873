"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict."""

from typing import TYPE_CHECKING, Any

from edgebert.choosing.selection import Budget, Selection, select
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.evaluation import evaluate
from edgebert.measuring.profiler import profile
from edgebert.serving.bulk import predict_all
from edgebert.serving.predictor import Predictor, load
from edgebert.subnet import Subnet
from edgebert.version import __version__

if TYPE_CHECKING:
    from edgebert.exporters.build import export

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


def __getattr__(name: str) -> Any:
    """Return `export`, which is imported when it is asked for: a device has nothing of what it needs."""
    if name != "export":
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    try:
        from edgebert.exporters.build import export
    except ImportError as problem:
        # An AttributeError, so that `hasattr` and `help` work on a device too.
        raise AttributeError(f"exporting needs {problem.name}; pip install 'edgebert[export]'") from None
    return export


def __dir__() -> list[str]:
    return [*globals(), "export"]
