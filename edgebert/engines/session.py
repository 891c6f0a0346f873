"""Runs graphs: the only module that imports ONNX Runtime and its provider plugins."""

import importlib
import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.device import this_device
from edgebert.subnet import CPU, Flavor, Precision, flavor_of
from edgebert.tasks.task import Outputs

OPENVINO = "OpenVINOExecutionProvider"
# What edgebert has graphs for, and the package of each plugin; ONNX Runtime lists more (a cloud service among them).
_PLUGINS = {OPENVINO: "onnxruntime_ep_openvino"}

_AGAIN = "export the bundle again"


class Session:
    """One graph loaded and ready; `run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self.input_names = tuple(value.name for value in session.get_inputs())
        self._output_names = tuple(value.name for value in session.get_outputs())

    def run(self, inputs: Arrays) -> Outputs:
        """Return the outputs by name, each (batch, ...) float32, for graph inputs (batch, length) int64."""
        try:
            return dict(zip(self._output_names, self._session.run(None, inputs), strict=True))
        except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
            raise BundleError(f"ONNX Runtime cannot run the graph: {_first_line(problem)}; {_AGAIN}") from None


def open_session(
    bundle: Bundle,
    subnet: ExportedSubnet,
    *,
    flavor: Flavor | None = None,
    provider: str = CPU,
    threads: int = 1,
) -> Session:
    """Load the verified graph of a sub-network, in the flavor that suits the provider if none is given.

    Raises:
        BundleError: a file of the bundle was altered, or ONNX Runtime refuses the graph.
        EdgeBertError: the provider is not there.
    """
    check_provider(provider)
    flavor = flavor or flavor_of(provider)
    graph = bundle.graph(subnet, flavor)
    used = bundle.parts(graph, subnet.id)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _utf8(bundle.path))
    if provider == CPU:
        _set_cpu(options, subnet.precision, flavor, threads)
    else:
        _set_openvino(options, subnet.precision, threads)
    # Both take equally long: ONNX Runtime loads while the weights are checked, and nothing runs before they are.
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(bundle.check_weights, used)
        try:
            session = onnxruntime.InferenceSession(graph, options, providers=[CPU] if provider == CPU else None)
        except Exception as problem:  # ONNX Runtime raises a dozen unrelated kinds
            check.result()
            raise BundleError(f"ONNX Runtime cannot load {subnet.id}: {_first_line(problem)}; {_AGAIN}") from None
        check.result()
    if session.get_providers()[0] != provider:  # it falls back without an error
        raise EdgeBertError(f"{provider} could not start and ONNX Runtime fell back; choose one of {providers()}")
    return Session(session)


def _set_cpu(options: Any, precision: Precision, flavor: Flavor, threads: int) -> None:
    options.intra_op_num_threads = threads
    if precision == "int8-weights":
        # Else ONNX Runtime makes products of them that round the activations too.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    elif _saturates():
        # Exact sums take an eighth longer; answers that depend on the processor would be worse. ONNX Runtime has no
        # exact form of what it makes of QuantizeLinear and DequantizeLinear, so that is computed as it is written.
        is_exact = precision == "int8-static" and flavor == "portable"
        entry = "session.disable_quant_qdq" if is_exact else "session.x64quantprecision"
        options.add_session_config_entry(entry, "1")


def _saturates() -> bool:
    """Return whether sums of uint8 times int8 saturate at 16 bits: on x86 processors without VNNI they do."""
    device = this_device()
    is_x86 = device.architecture.lower() in ("x86_64", "amd64")
    return is_x86 and not {"avx_vnni", "avx512_vnni", "amx_int8"} & set(device.instruction_sets)


def _set_openvino(options: Any, precision: Precision, threads: int) -> None:
    options.intra_op_num_threads = 1  # ONNX Runtime's own threads have nothing to do
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision == "fp32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"  # else bfloat16 where the processor has it
    options.add_provider_for_devices(_devices(OPENVINO), {"load_config": json.dumps({"CPU": settings})})


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
    """Return the providers that are installed, that work on this machine and that edgebert has graphs for."""
    return [CPU, *(name for name in _PLUGINS if _devices(name))]


@cache
def _devices(provider: str) -> list[Any]:
    """Return the CPU as a provider's plugin sees it, or nothing where the plugin is not installed or finds none."""
    package = _PLUGINS[provider]
    if importlib.util.find_spec(package) is None:
        return []
    try:
        onnxruntime.register_execution_provider_library(provider, importlib.import_module(package).get_library_path())
        found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
    except Exception:  # an ONNX Runtime without plugins, or a plugin made for another one
        return []
    # OpenVINO lists itself a second time, as a chooser among its own devices.
    return [device for device in found if device.ep_metadata.get("ov_device") == "CPU"]


def check_provider(provider: str) -> None:
    """Raise an EdgeBertError that lists the choices if there is no such provider here."""
    if provider != CPU and provider not in providers():
        raise EdgeBertError(f"no provider '{provider}' here; choose one of {', '.join(providers())}")


def provider_versions() -> dict[str, str]:
    """Return the version of each provider that works here: ONNX Runtime's own for the CPU's, else the plugin's."""
    return {name: version() if name == CPU else metadata.version(_PLUGINS[name]) for name in providers()}


def version() -> str:
    """Return ONNX Runtime's version."""
    return str(onnxruntime.__version__)
