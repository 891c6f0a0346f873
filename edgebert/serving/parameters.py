"""What `load` and `predict_all` are given, made into a budget, a sub-network and a profile. Knows no requests."""

import logging
from pathlib import Path
from typing import Any

from edgebert.choosing.selection import Budget, Selection, named, select, select_unprofiled
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.inputs.tokenization import Tokenizer
from edgebert.machine.device import this_device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import check_profile, profile_of
from edgebert.serving.request import CallTexts, read_texts
from edgebert.subnet import Subnet, Way, WayFilter

logger = logging.getLogger(__name__)


def budget_of(budget: Budget | None, **limits: Any) -> Budget:
    """Return the budget that is given as a whole, or else made of the limits, which are fields of `Budget`.

    Raises:
        EdgeBertError: both are given, or a limit is out of range.
    """
    if budget is None:
        return Budget(**limits)
    given = [name for name, value in limits.items() if value != getattr(Budget(), name)]
    if given:
        names = ", ".join(given)
        raise EdgeBertError(f"expected a budget or its parts, found both; put {names} into the Budget")
    if not isinstance(budget, Budget):
        raise EdgeBertError(f"expected a Budget, found {type(budget).__name__}; pass budget=edgebert.Budget(...)")
    return budget


def subnet_in(bundle: Bundle, subnet: str | Subnet) -> ExportedSubnet:
    """Return the sub-network of a bundle that an id or the value itself names.

    Raises:
        BundleError: the bundle has no such sub-network.
    """
    if not isinstance(subnet, str | Subnet):
        raise BundleError(f"expected the id of a sub-network or a Subnet, found {type(subnet).__name__}; pass one")
    if isinstance(subnet, str):
        return bundle.subnet(subnet)
    for found in bundle.manifest.subnetworks:
        same = [getattr(found, name) == getattr(subnet, name) for name in subnet.__struct_fields__]
        if all(same):
            return found
    name = bundle.manifest.name
    raise BundleError(f"sub-network '{subnet.id}' is not of bundle '{name}' but of another; pass one of its own ids")


def choose_unprofiled(bundle: Bundle, subnet: str | Subnet | None, budget: Budget, way: Way) -> Selection:
    """Return the sub-network that is asked for, whatever it costs, or else the best.

    Raises:
        BundleError: the bundle has no such sub-network.
    """
    if subnet is None:
        return select_unprofiled(bundle, budget, way)
    return named(subnet_in(bundle, subnet), budget, way)


def choose(
    bundle: Bundle, subnet: str | Subnet | None, budget: Budget, way: Way, source: "ProfileSource | None"
) -> Selection:
    """Return the sub-network that is asked for, or else the best: by a profile, or without a source of one in a way.

    Raises:
        BudgetError: no sub-network meets the budget.
        BundleError: the bundle has no such sub-network.
        ProfileError: the profile is damaged, another bundle's, or could not be measured.
    """
    if subnet is None and source is not None:
        return select(bundle, source.profile(), budget)
    return choose_unprofiled(bundle, subnet, budget, way)


def length_of(bundle: Bundle, texts: CallTexts) -> int:
    """Return how many tokens the longest of some known texts has: the `length` of a budget that is for these alone.

    Raises:
        EdgeBertError: a text is empty or no text.
    """
    tokenizer = Tokenizer.of(bundle)
    lengths = (len(tokenizer.encode(text).ids) for text in read_texts(texts))
    return max(lengths, default=bundle.manifest.max_length)


class ProfileSource:
    """The profile that choices are made from: given, or else cached or measured when it is first needed."""

    def __init__(
        self, bundle: Bundle, batch_size: int, asked: WayFilter, given: DeviceProfile | str | Path | None = None
    ):
        """Check the profile that is given, and warn if it was measured on another device.

        Raises:
            ProfileError: it cannot be read, or is another bundle's.
        """
        self._bundle, self._batch_size, self._asked, self._found = bundle, batch_size, asked, None
        if given is not None:
            self._found = _checked(given, bundle)

    def profile(self) -> DeviceProfile:
        """Return the profile's entries of the ways that were asked for.

        Raises:
            ProfileError: it has none of them, or nothing can be measured.
        """
        if self._found is None:
            self._found = profile_of(self._bundle, batch_size=self._batch_size, asked=self._asked)
        return self._found.narrowed(self._asked)


def _checked(given: DeviceProfile | str | Path, bundle: Bundle) -> DeviceProfile:
    found = check_profile(given if isinstance(given, DeviceProfile) else DeviceProfile.load(given), bundle)
    if found.device.fingerprint != this_device().fingerprint:
        logger.warning("the profile was measured on another device (%s): its budget may not hold here", found.device)
    return found
