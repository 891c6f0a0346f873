"""Opens a bundle's sub-networks with the engines there are, and nothing that was not checked before.

To add an engine, write its file and put it into `ENGINES`.
"""

from collections.abc import Iterable, Sequence

from edgebert.engines.checked_session import CheckedSession
from edgebert.engines.cpu import CPU
from edgebert.engines.cuda import CUDA
from edgebert.engines.engine import Engine, Session
from edgebert.engines.openvino import OPENVINO
from edgebert.errors import BundleError, EdgeBertError, listed
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.python_exit import Pool
from edgebert.subnet import MAX_THREADS, Way, WayFilter
from edgebert.tasks.tasks import task_in

ENGINES: tuple[Engine, ...] = (CPU, OPENVINO, CUDA)


def open_session(bundle: Bundle, subnet: ExportedSubnet, way: Way) -> Session:
    """Load the verified graph of a sub-network in a way.

    Raises:
        BundleError: a file of the bundle was altered, or the bundle replaced, there is no such flavor, or the engine
            refuses the graph.
        EdgeBertError: the engine is not here, or knows no such options.
    """
    engine = engine_of(way.engine)
    # A profile may come from anywhere: among ONNX Runtime's settings are names of files that it reads and writes.
    if not engine.knows(way.options):
        raise EdgeBertError(f"the engine {engine.NAME} is run with no such options: {way!s:.200}; profile again")
    with bundle.unreplaced():
        graph = bundle.open_graph(subnet, way.flavor)
        # Both take equally long: the engine loads while the weights are checked, and nothing runs before they are.
        with Pool(1) as pool:
            check = pool.submit(graph.weights.check)
            try:
                session = engine.open(graph.content, graph.weights.path.parent, subnet.precision, way)
            finally:
                check.result()  # what was altered is the better reason why a graph cannot be loaded
        # The engine opens them by their name.
        graph.weights.check_in_place()
    if not {"input_ids"} <= set(session.input_names) <= set(bundle.manifest.inputs):
        expected, found = (
            listed([ascii(name) for name in names]) for names in (bundle.manifest.inputs, session.input_names)
        )
        raise BundleError(f"{subnet.id}: expected a graph of {expected}, found one of {found}; export the bundle again")
    return CheckedSession(session, graph.weights, task_in(bundle.manifest))


def engine_of(name: str) -> Engine:
    """Return the engine of that name, its own or ONNX Runtime's in any case of letters, if it is here.

    Raises:
        EdgeBertError: there is no such engine here; the message lists those there are.
    """
    for engine in ENGINES:
        # Only the one that is meant is asked for its devices: to answer, others would load what they run on.
        if name.lower() in (engine.NAME.lower(), engine.PROVIDER.lower()) and engine.devices():
            return engine
    known = ", ".join(engine.NAME for engine in engines_here())
    raise EdgeBertError(f"no provider '{name}' here; choose one of {known}")


def engines_here() -> list[Engine]:
    """Return the engines that are installed and work on this machine, the CPU's first."""
    return [engine for engine in ENGINES if engine.devices()]


def installable_engines() -> list[Engine]:
    """Return the engines that are not here, and could be if they were installed."""
    return [engine for engine in ENGINES if engine.INSTALL and not engine.devices() and engine.could_run()]


def default_way(provider: str | None = None, threads: int | None = None) -> Way:
    """Return how a network is run where nothing was measured: by the CPU, and on all cores, unless asked otherwise.

    Raises:
        EdgeBertError: there is no such engine here, or threads out of range.
    """
    asked = way_filter(provider, threads)
    # The CPU, which is always there: whether another engine is faster only a profile tells.
    engine = engine_of(provider or CPU.NAME)
    threads = asked.threads or engine.usual_threads()
    return Way(engine.NAME, engine.devices()[0], engine.FLAVORS[0], threads, engine.OPTIONS[0])


def way_filter(provider: str | None, threads: int | None, engines: Sequence[str] | None = None) -> WayFilter:
    """Return which ways are asked for by a provider or several engines, under their short names or ONNX Runtime's own,
    and a thread count.

    Raises:
        EdgeBertError: there is no such engine here, both are given, or threads out of range.
    """
    # By its type, since True is an int too.
    if threads is not None and not (type(threads) is int and 1 <= threads <= MAX_THREADS):
        raise EdgeBertError(f"expected 1 to {MAX_THREADS} threads, found {threads}")
    if engines and provider is not None:
        raise EdgeBertError(
            f"expected a provider or engines, found {provider} and {listed(engines)}; give one of the two"
        )
    names = engines or ([] if provider is None else [provider])
    return WayFilter(tuple(dict.fromkeys(engine_of(name).NAME for name in names)) or None, threads)


def engine_versions(names: Iterable[str] | None = None) -> dict[str, str]:
    """Return the version of what runs graphs, for each engine here or for those named."""
    engines = engines_here() if names is None else [engine_of(name) for name in names]
    return {engine.NAME: engine.version() for engine in engines}
