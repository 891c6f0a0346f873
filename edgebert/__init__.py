"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict."""

from edgebert.choosing.selection import Budget, Selection, select
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile
from edgebert.serving.predictor import Predictor, load
from edgebert.subnet import Subnet
from edgebert.version import __version__

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
