"""Arguments that several verbs take, and the types that refuse what cannot be meant (exit status 2)."""

import argparse
import contextlib
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from edgebert.browser.server import Place
    from edgebert.machine.limits import Limits

N = TypeVar("N", int, float)
T = TypeVar("T")
Kind = Callable[[str], Any]

_OR_BUILTIN = " (default: the built-in bundle)"


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes: how it prints."""
    group = parser.add_argument_group("output")
    # A default here would undo what stands before a method, as in `train --json dynabert`: it is the first parser's.
    quiet = argparse.SUPPRESS
    group.add_argument("--json", action="store_true", default=quiet, help="print one JSON object and nothing else")
    group.add_argument("-v", "--verbose", action="store_true", default=quiet, help="tell more of what is done")


def add_bundle(parser: argparse.ArgumentParser, metavar: str = "BUNDLE", what: str = "a bundle's folder") -> None:
    """Add the bundle, which may be given by itself or as an option, but not both."""
    group = parser.add_mutually_exclusive_group()
    # With another default, an argument that is not there would overwrite what the option says.
    # argparse lets the two be exclusive only because nargs="?" makes the first one optional.
    group.add_argument("bundle", nargs="?", default=argparse.SUPPRESS, metavar=metavar, help=what + _OR_BUILTIN)
    group.add_argument("--bundle", metavar=metavar, help=f"another spelling of {metavar}")


def add_bundle_option(parser: argparse.ArgumentParser) -> None:
    """Add the bundle as an option alone, for verbs that take something else by itself."""
    add(parser, "--bundle", str, "BUNDLE", f"a bundle's folder{_OR_BUILTIN}")


def add(
    parser: argparse._ActionsContainer, name: str, kind: Kind, metavar: str, what: str, default: Any = None
) -> None:
    """Add an option that has a value of some kind; `what` is its help text."""
    parser.add_argument(name, type=kind, metavar=metavar, help=what, default=default)


def add_provider(parser: argparse._ActionsContainer, default: str) -> None:
    """Add the engine; `default` says in words which one it is without."""
    engines = "what runs the networks: cpu, openvino, cuda (see edgebert devices), or ONNX Runtime's name for it"
    add(parser, "--provider", str, "NAME", f"{engines} (default: {default})")


def add_way(parser: argparse._ActionsContainer) -> None:
    """Add what a network is run by."""
    add_provider(parser, "the best")
    add(parser, "--threads", count, "N", "on so many threads (default: as many as are best)")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add what an app can afford, and the profile that tells what things cost."""
    group = parser.add_argument_group("budget")
    add(group, "--latency-ms", positive, "X", "what a request may take, in milliseconds")
    add(group, "--memory-mb", positive, "Y", "what a network may need (1 MB = 10^6 bytes)")
    add(group, "--percentile", percentile, "P", "of the latency (default: 95)", 95)
    add(group, "--length", count, "L", "tokens of an input (default: of the longest there can be, or of TEXT)")
    add(group, "--batch-size", count, "B", "texts in a request (default: 1)", 1)
    add(group, "--tolerance", share, "T", "quality to give up for speed, such as 0.005 (default: 0)", 0.0)
    add_way(group)
    add(group, "--profile", str, "FILE", "what things cost (default: the cached profile, or a quick one)")


def from_options(make: Callable[..., T], options: argparse.Namespace, *, prefix: str = "", **given: Any) -> T:
    """Return what a function, or the class of a record, makes of the options that its parameters are named as.

    An option has the name of its parameter behind the prefix. What is `given` goes before what an option says, and
    None leaves a parameter to its default.
    """
    import inspect  # loads Python's parser and disassembler, which help need not wait for

    # Options that are no parameter's, such as --json, are not looked at; nor are parameters that no option is named as.
    found = {name: getattr(options, prefix + name, None) for name in inspect.signature(make).parameters} | given
    return make(**{name: value for name, value in found.items() if value is not None})


def names(text: str) -> tuple[str, ...]:
    """Return words separated by commas."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError("expected at least one, separated by commas, found none")
    return found


def _number(convert: Callable[[str], N], is_meant: Callable[[N], bool], expected: str) -> Callable[[str], N]:
    """Return what reads a number, and refuses one that cannot be meant."""

    # argparse would say "invalid read value"; its own error class alone gets a message of ours to the user.
    def read(text: str) -> N:
        with contextlib.suppress(ValueError):
            value = convert(text)
            if is_meant(value):
                return value
        raise argparse.ArgumentTypeError(f"expected {expected}, found '{text}'")

    return read


def _list_of(read: Callable[[str], N]) -> Callable[[str], tuple[N, ...]]:
    """Return what reads numbers separated by commas."""
    return lambda text: tuple(read(part) for part in names(text))


# NaN, which float() reads, is refused by each of them: it compares as false with every bound.
positive = _number(float, lambda value: 0 < value < math.inf, "a number above 0")
not_negative = _number(float, lambda value: 0 <= value < math.inf, "a number of at least 0")
share = _number(float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
below_one = _number(float, lambda value: 0 <= value < 1, "a number from 0 to below 1")
# Profiles hold latencies up to the 99th percentile (`check_percentile`): here, so that wrong usage is status 2.
percentile = _number(float, lambda value: 0 < value <= 99, "a percentile above 0 and at most 99")
count = _number(int, lambda value: value > 0, "a whole number above 0")
two_or_more = _number(int, lambda value: value > 1, "a whole number above 1")
whole_number = _number(int, lambda value: value >= 0, "whole numbers of at least 0")
counts, whole_numbers = _list_of(count), _list_of(whole_number)
shares = _list_of(_number(float, lambda value: 0 < value <= 1, "numbers above 0 and at most 1"))


def place(text: str) -> "Place":
    """Return where to listen, such as 0.0.0.0:8000, or [::1]:8000 or a name; without a port any that is free."""
    from edgebert.browser.server import Place

    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:]+)\]|([0-9A-Za-z._-]+))(?::(\d{1,5}))?", text)
    if found is None or int(found[3] or 0) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST or HOST:PORT, found {text}")
    return Place(found[1] or found[2], int(found[3] or 0))


def limits(text: str) -> "Limits":
    """Return the limits of a machine to imitate, such as cpus=1,memory-mb=512."""
    from edgebert.machine.limits import Limits

    pairs = [part.partition("=") for part in names(text)]
    if not {name for name, _, _ in pairs} <= {"cpus", "memory-mb"}:
        raise argparse.ArgumentTypeError(f"expected cpus=N and memory-mb=N, found {text}")
    return Limits(**{name.replace("-", "_"): positive(value) for name, _, value in pairs})


def limits_as_text(value: "Limits") -> str:
    """Return limits as `limits` reads them."""
    found = {"cpus": value.cpus, "memory-mb": value.memory_mb}
    return ",".join(f"{name}={number:g}" for name, number in found.items() if number is not None)
