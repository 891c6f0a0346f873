"""What `load` and `predict_all` are given, made into a budget, a sub-network and a profile."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgebert.choosing.selection import Budget, Selection, named, select, select_unprofiled
from edgebert.engines.session import engine_of
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Tokenizer
from edgebert.machine.device import this_device
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import profile_of
from edgebert.serving.request import CallTexts, read_texts
from edgebert.subnet import Subnet, Way, WayFilter
from edgebert.tasks.tasks import task_in

logger = logging.getLogger(__name__)

ProfileSource = Callable[[], DeviceProfile]


def budget_of(budget: Budget | None, **limits: Any) -> Budget:
    """Return the budget that is given as a whole, or else made of the limits, which are fields of `Budget`.

    Raises:
        EdgeBertError: both are given, or a limit is out of range.
    """
    if budget is None:
        return Budget(**limits)
    given = [name for name, value in limits.items() if value != getattr(Budget(), name)]
    if given:
        raise EdgeBertError(f"expected a budget or its parts, found both; put {', '.join(given)} into the Budget")
    if not isinstance(budget, Budget):
        raise EdgeBertError(f"expected a Budget, found {type(budget).__name__}; pass budget=edgebert.Budget(...)")
    return budget


def subnet_in(bundle: Bundle, subnet: str | Subnet) -> ExportedSubnet:
    """Return the sub-network of a bundle that an id or the value itself names.

    Raises:
        BundleError: the bundle has no such sub-network.
    """
    if isinstance(subnet, str):
        return bundle.subnet(subnet)
    if not isinstance(subnet, Subnet):
        raise BundleError(f"expected the id of a sub-network or a Subnet, found {type(subnet).__name__}; pass one")
    # Field by field: == of values is true within one class alone, and those of a bundle are of one that holds more.
    for found in bundle.manifest.subnetworks:
        if all(getattr(found, name) == getattr(subnet, name) for name in subnet.__struct_fields__):
            return found
    name = bundle.manifest.name
    raise BundleError(f"sub-network '{subnet.id}' is not of bundle '{name}' but of another; pass one of its own ids")


def choose(
    bundle: Bundle, subnet: str | Subnet | None, budget: Budget, way: Way, profile: ProfileSource | None = None
) -> Selection:
    """Return the sub-network that is asked for, whatever it costs, or else the best: by a profile, or without one.

    Without a source of a profile it is run in the way given.

    Raises:
        BudgetError: no sub-network meets the budget.
        BundleError: the bundle has no such sub-network.
        ProfileError: the profile is damaged, another bundle's, or could not be measured.
    """
    if subnet is not None:
        return named(subnet_in(bundle, subnet), budget, way)
    if profile:
        return select(bundle, profile(), budget)
    return select_unprofiled(bundle, budget, way, engine_of(way.engine).takes)


def length_of(bundle: Bundle, texts: CallTexts) -> int:
    """Return how many tokens the longest of some known texts, or of their windows, has.

    It is the `length` of a budget that is for these alone.

    Raises:
        EdgeBertError: a text is empty or no text.
    """
    task, tokenizer = task_in(bundle.manifest), Tokenizer.of(bundle)
    rows = (row for text in read_texts(texts) for row in task.rows(text, tokenizer, task.options({})))
    return max((len(row.ids) for row in rows), default=bundle.manifest.max_length)


def profile_source(
    bundle: Bundle, batch_size: int, asked: WayFilter, given: DeviceProfile | str | Path | None = None
) -> ProfileSource:
    """Return what gives the profile that choices are made from: the one given, or one that is cached or measured then.

    It has only the ways that are asked for, or raises a ProfileError.

    Raises:
        ProfileError: the one given cannot be read, or is another bundle's or runtime's.
    """
    if given is None:
        # Measured when a choice first needs it: who names a sub-network, or has no limit, never waits for that.
        return functools.cache(lambda: profile_of(bundle, batch_size=batch_size, asked=asked).narrowed(asked))

    found = given if isinstance(given, DeviceProfile) else DeviceProfile.load(given)
    name = "the profile" if found is given else given
    found.check_fits(bundle, name)
    found.check_runtime(name)
    if found.device.fingerprint != this_device().fingerprint:
        logger.warning("the profile was measured on another device (%s): its budget may not hold here", found.device)
    return functools.cache(lambda: found.narrowed(asked))
