"""Arguments that several verbs take, and the types that refuse what cannot be meant (exit status 2)."""

import argparse
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebert.machine.limits import Limits


def add_bundle(parser: argparse.ArgumentParser, name: str = "bundle") -> None:
    """Add the bundle, as a positional argument or as an option, depending on its name."""
    nargs = None if name.startswith("--") else "?"
    parser.add_argument(name, nargs=nargs, metavar="BUNDLE", help="a bundle folder (default: the built-in one)")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add what an app can afford, and the profile that tells what things cost."""
    parser.add_argument("--latency-ms", type=positive, metavar="X", help="latency budget")
    parser.add_argument("--memory-mb", type=positive, metavar="Y", help="memory budget (1 MB = 10^6 bytes)")
    parser.add_argument("--profile", metavar="FILE", help="a profile (default: the cached or a quick one)")


def positive(text: str) -> float:
    """Return a number above 0."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def count(text: str) -> int:
    """Return a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text}")
    return value


def counts(text: str) -> list[int]:
    """Return whole numbers above 0, separated by commas."""
    return [count(part) for part in names(text)]


def whole_numbers(text: str) -> list[int]:
    """Return whole numbers of at least 0, separated by commas."""
    values = [int(part) for part in names(text)]
    if min(values) < 0:
        raise argparse.ArgumentTypeError(f"expected whole numbers of at least 0, found {text}")
    return values


def shares(text: str) -> list[float]:
    """Return numbers above 0 and at most 1, separated by commas."""
    values = [positive(part) for part in names(text)]
    if any(value > 1 for value in values):
        raise argparse.ArgumentTypeError(f"expected numbers of at most 1, found {text}")
    return values


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def percentile(text: str) -> float:
    """Return a percentile that profiles hold."""
    value = positive(text)
    if value > 99:
        raise argparse.ArgumentTypeError(f"expected a percentile of at most 99, found {text}")
    return value


def names(text: str) -> list[str]:
    """Return words separated by commas."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError("expected at least one, separated by commas, found none")
    return found


def two_or_more(text: str) -> int:
    """Return a whole number above 1."""
    value = count(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2, the largest and the smallest, found {text}")
    return value


_LIMITS = {"cpus": "cpus", "memory-mb": "memory_mb"}


def limits(text: str) -> "Limits":
    """Return the limits of a machine to imitate, such as cpus=1,memory-mb=512."""
    from edgebert.machine.limits import Limits

    pairs = [part.partition("=") for part in names(text)]
    if not {name for name, _, _ in pairs} <= _LIMITS.keys():
        raise argparse.ArgumentTypeError(f"expected {' and '.join(f'{name}=N' for name in _LIMITS)}, found {text}")
    return Limits(**{_LIMITS[name]: positive(value) for name, _, value in pairs})


def limits_as_text(value: "Limits") -> str:
    """Return limits as `limits` reads them."""
    found = {name: getattr(value, field) for name, field in _LIMITS.items()}
    return ",".join(f"{name}={number:g}" for name, number in found.items() if number is not None)
