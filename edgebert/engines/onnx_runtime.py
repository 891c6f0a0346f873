"""What all engines that are providers of ONNX Runtime share: sessions, and one form for their errors."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgebert import telemetry
from edgebert.engines.forks import keep_in_forks
from edgebert.errors import BundleError, EdgeBertError, OutputError
from edgebert.inputs.tokenization import Arrays
from edgebert.python_exit import NATIVE_CALL
from edgebert.tasks.task import Outputs

logger = logging.getLogger(__name__)

if telemetry.MAY_BE_ON:
    logger.warning(
        "onnxruntime was imported before edgebert: it may send telemetry, and forked processes may hang; "
        "import edgebert first, or set %s=%s",
        telemetry.VARIABLE,
        telemetry.OFF,
    )

# The entry of a session's options that has it remember which provider runs what.
RECORD_PLACES = ("session.record_ep_graph_assignment_info", "1")

# What CUDA says of its driver or device, amid ONNX Runtime's words.
_DEVICE_FAILURE = re.compile(r"CUDA failure \d+: [^;]*")


class OnnxRuntimeSession:
    """A session of ONNX Runtime; `run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession):
        """Wrap a session."""
        self._session = session
        keep_in_forks(session)
        self.input_names: tuple[str, ...] = tuple(value.name for value in session.get_inputs())
        self._output_names = [value.name for value in session.get_outputs()]

    def operators_on(self, provider: str) -> set[str]:
        """Return the operators that a provider runs, if the session was opened with `RECORD_PLACES`."""
        parts = self._session.get_provider_graph_assignment_info()
        return {node.op_type for part in parts if part.ep_name == provider for node in part.get_nodes()}

    def run(self, inputs: Arrays) -> Outputs:
        """Return the named outputs, float32 (batch, ...), for graph inputs (batch, length) int64."""
        try:
            with NATIVE_CALL:
                values = self._session.run(None, inputs)
        except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
            raise OutputError(_refusal("run", problem)) from None
        return {name: np.asarray(value) for name, value in zip(self._output_names, values, strict=True)}


def session_options(weights: Path, threads: int) -> onnxruntime.SessionOptions:
    """Return the options that every session has: where the external data lies, and how many threads."""
    # ONNX Runtime's builds hold telemetry, on Linux too since 1.31; nothing is to be sent anywhere.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # Fatal alone: what goes wrong is raised too.
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # Bytes may be an ONNX model and one in ONNX Runtime's own format at once; what was checked is the former.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A graph that comes as bytes has no folder of its own to find its weights in.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _utf8(weights))
    return options


@NATIVE_CALL
def open_graph(
    graph: bytes, options: Any, provider: str, providers: Sequence[str | tuple[str, dict[str, str]]] | None = None
) -> OnnxRuntimeSession:
    """Load a graph; `providers`, some with settings, are left out where the options name the devices.

    Raises:
        BundleError: ONNX Runtime refuses the graph.
        EdgeBertError: it fell back to another provider, or the provider's device failed.
    """
    try:
        # Its fallback to the CPU prints to standard output.
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
        failure = _DEVICE_FAILURE.search(str(problem))
        if failure:  # no fault of the graph
            found = f"{provider} could not start: {failure[0].strip()}"
            raise EdgeBertError(f"{found}; see to the driver and its memory, or choose another provider") from None
        raise BundleError(_refusal("load", problem)) from None
    # A provider that is not installed is left out without an error.
    if session.get_providers()[0] != provider:
        raise EdgeBertError(f"{provider} could not start and ONNX Runtime fell back; choose another provider")
    return OnnxRuntimeSession(session)


def runtime_version() -> str:
    """Return ONNX Runtime's version."""
    return f"ONNX Runtime {onnxruntime.__version__}"


def _utf8(path: Path) -> str:
    """Return a path as ONNX Runtime takes it."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise BundleError(f"{path!a} is not valid UTF-8; move the bundle to another place") from None
    return str(path)


def _refusal(verb: str, problem: Exception) -> str:
    first_line = str(problem).strip().split("\n")[0]
    return f"ONNX Runtime cannot {verb} the graph: {first_line}; export the bundle again"
