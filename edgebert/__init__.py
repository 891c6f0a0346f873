"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict.

What a name needs is imported when the name is first used, so that `edgebert --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.version import __version__

if TYPE_CHECKING:
    from edgebert.choosing.selection import Budget, Selection, select
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.device_profile import DeviceProfile
    from edgebert.measuring.profiler import profile
    from edgebert.serving.predictor import Predictor, load
    from edgebert.subnet import Subnet

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
    "load",
    "profile",
    "select",
]

_MODULES = {
    "Budget": "edgebert.choosing.selection",
    "Bundle": "edgebert.inputs.bundle",
    "DeviceProfile": "edgebert.measuring.device_profile",
    "Predictor": "edgebert.serving.predictor",
    "Selection": "edgebert.choosing.selection",
    "Subnet": "edgebert.subnet",
    "load": "edgebert.serving.predictor",
    "profile": "edgebert.measuring.profiler",
    "select": "edgebert.choosing.selection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _MODULES.keys())
