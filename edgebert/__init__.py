"""Runs one elastic BERT well on every device: profile a bundle, select a sub-network within a budget, predict."""

from edgebert.bundle import Bundle
from edgebert.device_profile import DeviceProfile
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.predictor import Predictor, load
from edgebert.profiler import profile
from edgebert.selection import Budget, Selection, select
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
