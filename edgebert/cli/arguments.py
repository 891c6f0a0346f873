"""Arguments that several verbs take, and the types that refuse what cannot be meant (exit status 2)."""

import argparse
import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from edgebert.choosing.selection import Budget
    from edgebert.machine.limits import Limits

Number = TypeVar("Number", int, float)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes: how it prints. The defaults are those of the parser of all verbs."""
    group = parser.add_argument_group("output")
    quiet = argparse.SUPPRESS
    group.add_argument("--json", action="store_true", default=quiet, help="print one JSON object and nothing else")
    group.add_argument("-v", "--verbose", action="store_true", default=quiet, help="tell more of what is done")


def add_bundle(parser: argparse.ArgumentParser, metavar: str = "BUNDLE", what: str = "a bundle's folder") -> None:
    """Add the bundle, which may be given by itself or as an option, but not both."""
    group = parser.add_mutually_exclusive_group()
    # With another default, an argument that is not there would overwrite what the option says.
    group.add_argument("bundle", nargs="?", default=argparse.SUPPRESS, metavar=metavar, help=_or_builtin(what))
    group.add_argument("--bundle", metavar=metavar, help=f"another spelling of {metavar}")


def add_bundle_option(parser: argparse.ArgumentParser) -> None:
    """Add the bundle as an option alone, for verbs that take something else by itself."""
    parser.add_argument("--bundle", metavar="BUNDLE", help=_or_builtin("a bundle's folder"))


def _or_builtin(what: str) -> str:
    return f"{what} (default: the built-in bundle)"


def add_way(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add what a network is run by."""
    engines = "what runs the networks: cpu, openvino (see edgebert devices), or ONNX Runtime's name for it"
    parser.add_argument("--provider", metavar="NAME", help=f"{engines} (default: the best)")
    parser.add_argument("--threads", type=count, metavar="N", help="on so many threads (default: as many as are best)")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add what an app can afford, and the profile that tells what things cost."""
    group = parser.add_argument_group("budget")
    group.add_argument("--latency-ms", type=positive, metavar="X", help="what a request may take, in milliseconds")
    group.add_argument("--memory-mb", type=positive, metavar="Y", help="what a network may need (1 MB = 10^6 bytes)")
    group.add_argument("--percentile", type=percentile, default=95, metavar="P", help="of the latency (default: 95)")
    group.add_argument(
        "--length",
        type=count,
        metavar="L",
        help="tokens of an input (default: of the longest there can be, or of TEXT)",
    )
    group.add_argument("--batch-size", type=count, default=1, metavar="B", help="texts in a request (default: 1)")
    group.add_argument(
        "--tolerance",
        type=share,
        default=0.0,
        metavar="T",
        help="quality to give up for speed, such as 0.005 (default: 0)",
    )
    add_way(group)
    group.add_argument(
        "--profile", metavar="FILE", help="what things cost (default: the cached profile, or a quick one)"
    )


def budget_from_options(options: argparse.Namespace, length: int | None = None) -> "Budget":
    """Return the budget that the arguments say; `length` is that of the input where they say none."""
    from edgebert.choosing.selection import Budget

    return Budget(
        latency_ms=options.latency_ms,
        memory_mb=options.memory_mb,
        percentile=options.percentile,
        length=options.length or length,
        batch_size=options.batch_size,
        tolerance=options.tolerance,
    )


def _checked(text: str, convert: Callable[[str], Number], is_meant: Callable[[Number], bool], expected: str) -> Number:
    """Return the number that a text stands for, if it is one that can be meant."""
    with contextlib.suppress(ValueError):
        value = convert(text)
        if is_meant(value):
            return value
    raise argparse.ArgumentTypeError(f"expected {expected}, found '{text}'")


def positive(text: str) -> float:
    """Return a number above 0."""
    return _checked(text, float, lambda value: 0 < value < math.inf, "a number above 0")


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    return _checked(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def percentile(text: str) -> float:
    """Return a percentile that profiles hold."""
    return _checked(text, float, lambda value: 0 < value <= 99, "a percentile above 0 and at most 99")


def count(text: str) -> int:
    """Return a whole number above 0."""
    return _checked(text, int, lambda value: value > 0, "a whole number above 0")


def two_or_more(text: str) -> int:
    """Return a whole number above 1."""
    return _checked(text, int, lambda value: value > 1, "a whole number above 1")


def counts(text: str) -> list[int]:
    """Return whole numbers above 0, separated by commas."""
    return [count(part) for part in names(text)]


def whole_numbers(text: str) -> list[int]:
    """Return whole numbers of at least 0, separated by commas."""
    return [_checked(part, int, lambda value: value >= 0, "whole numbers of at least 0") for part in names(text)]


def shares(text: str) -> list[float]:
    """Return numbers above 0 and at most 1, separated by commas."""
    expected = "numbers above 0 and at most 1"
    return [_checked(part, float, lambda value: 0 < value <= 1, expected) for part in names(text)]


def names(text: str) -> list[str]:
    """Return words separated by commas."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError("expected at least one, separated by commas, found none")
    return found


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
