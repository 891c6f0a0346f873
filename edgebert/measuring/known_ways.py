"""Which ways to run a network a profile can hold: those of the engines of the runtime that measured it."""

from collections.abc import Iterator

from edgebert.engines.session import ENGINES
from edgebert.machine.device import Device
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.subnet import Way

# Of those that are worth it none has more than one; a profile with more than this is not of the machine that it names.
MAX_THREADS_PER_CORE = 8

# The engines of edgebert in JavaScript: the one device of each, and its flavors. js/src/inputs/profile.js has them too.
_JAVASCRIPT_ENGINES = {
    "wasm": ("CPU", ("fused", "portable")),
    "webgpu": ("GPU", ("portable",)),
    "node": ("CPU", ("fused", "portable")),
}


def engine_names(device: Device | JavaScriptDevice) -> tuple[str, ...]:
    """Return the names of the engines of the runtime that describes a device so."""
    if isinstance(device, JavaScriptDevice):
        return tuple(_JAVASCRIPT_ENGINES)
    return tuple(engine.NAME for engine in ENGINES)


def impossible(way: Way, device: Device | JavaScriptDevice) -> Iterator[str]:
    """Yield why nothing was run in a way on a device."""
    is_known, known = _javascript(way) if isinstance(device, JavaScriptDevice) else _python(way)
    if not is_known:
        yield f"expected a way of {known}, found {way}"
    cores = device.cores if isinstance(device, JavaScriptDevice) else device.usable_cores
    if cores is not None and way.threads > MAX_THREADS_PER_CORE * cores:
        yield f"expected at most {MAX_THREADS_PER_CORE * cores} threads on {cores} cores, found {way.threads}"


def _python(way: Way) -> tuple[bool, str]:
    """Return whether this runtime could have run a network in a way, and in which it could."""
    engine = next((engine for engine in ENGINES if way.engine == engine.NAME), None)
    is_known = engine is not None and way.flavor in engine.FLAVORS and engine.knows(way.options)
    return is_known, "; ".join(f"{one.NAME}, {' or '.join(one.FLAVORS)}" for one in ENGINES)


def _javascript(way: Way) -> tuple[bool, str]:
    """Return the same of edgebert in JavaScript, whose engines have no options."""
    device, flavors = _JAVASCRIPT_ENGINES.get(way.engine, ("", ()))
    is_known = way.device == device and way.flavor in flavors and not way.options
    known = (f"{name} on {on}, {' or '.join(forms)}" for name, (on, forms) in _JAVASCRIPT_ENGINES.items())
    return is_known, "; ".join(known)
