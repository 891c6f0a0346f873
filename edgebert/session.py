"""Runs graphs: the only module that imports ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgebert.bundle import Bundle, ExportedSubnet
from edgebert.errors import BundleError, EdgeBertError
from edgebert.subnet import Flavor
from edgebert.tokenization import Arrays

CPU = "CPUExecutionProvider"
# What edgebert has graphs for; ONNX Runtime lists more (a cloud service among them).
_SUPPORTED = (CPU,)


_AGAIN = "export the bundle again"


class Session:
    """One graph loaded and ready; `run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self.input_names = tuple(value.name for value in session.get_inputs())

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Return the logits (batch, labels) float32 for graph inputs (batch, length) int64."""
        try:
            return np.asarray(self._session.run(None, inputs)[0])
        except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
            raise BundleError(f"ONNX Runtime cannot run the graph: {_first_line(problem)}; {_AGAIN}") from None


def open_session(
    bundle: Bundle, subnet: ExportedSubnet, *, flavor: Flavor = "fused", provider: str = CPU, threads: int = 1
) -> Session:
    """Load the verified graph of a sub-network.

    Raises:
        BundleError: a file of the bundle was altered, or ONNX Runtime refuses the graph.
        EdgeBertError: the provider is not there.
    """
    check_provider(provider)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _utf8(bundle.path))
    graph = bundle.graph(subnet, flavor)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
        raise BundleError(f"ONNX Runtime cannot load {subnet.id}: {_first_line(problem)}; {_AGAIN}") from None
    if session.get_providers()[0] != provider:  # it falls back without an error
        raise EdgeBertError(f"{provider} could not start and ONNX Runtime fell back; choose one of {providers()}")
    return Session(session)


def _utf8(path: Path) -> str:
    """Return a path as ONNX Runtime takes it."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise BundleError(f"{path!a} is not valid UTF-8; move the bundle to another place") from None
    return str(path)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0]


def providers() -> list[str]:
    """Return the providers that are installed here and that edgebert has graphs for."""
    return [name for name in onnxruntime.get_available_providers() if name in _SUPPORTED]


def check_provider(provider: str) -> None:
    """Raise an EdgeBertError that lists the choices if there is no such provider here."""
    if provider not in providers():
        raise EdgeBertError(f"no provider '{provider}' here; choose one of {', '.join(providers())}")


def version() -> str:
    """Return ONNX Runtime's version."""
    return str(onnxruntime.__version__)
