"""The engine `openvino`: ONNX Runtime's OpenVINO plugin provider (extra `[openvino]`), on Intel's processors.

A thread is one of OpenVINO's own.
"""

import importlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime

from edgebert.engines.engine import Engine
from edgebert.engines.onnx_runtime import OnnxRuntimeSession, open_graph, runtime_version, session_options
from edgebert.machine.device import this_processor
from edgebert.subnet import Flavor, Precision, Way


class OpenVinoPlugin(Engine):
    """A plugin provider that compiles anew for every length that it meets."""

    NAME: ClassVar[str] = "openvino"
    PROVIDER: ClassVar[str] = "OpenVINOExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("portable",)
    NEW_SHAPES_COST: ClassVar[bool] = True
    GOOD_FOR: ClassVar[str] = "Intel's processors"
    INSTALL: ClassVar[str] = "pip install 'edgebert[openvino]'"

    def __init__(self, package: str = "onnxruntime_ep_openvino"):
        """Take the plugin from an installed package of that name."""
        self._package = package

    def devices(self) -> tuple[str, ...]:
        """Return the CPU, where the plugin is installed and takes it."""
        return ("cpu",) if _plugin_devices(self._package, self.PROVIDER) else ()

    def could_run(self) -> bool:
        """Return whether this is one of Intel's processors: it refuses all others."""
        return "Intel" in this_processor().name

    def version(self) -> str:
        """Return the versions of the plugin and of what it is plugged into."""
        from importlib import metadata  # only here, since every import of edgebert would take longer for it

        return f"OpenVINO plugin {metadata.version(self._package)}, {runtime_version()}"

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> OnnxRuntimeSession:
        """Load a graph; what the plugin cannot run is an error, and never left to the CPU provider."""
        # ONNX Runtime's own threads have nothing to do.
        options = session_options(weights, threads=1)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": way.threads, "PERFORMANCE_HINT": "LATENCY"}
        if precision == "fp32":
            # Else bfloat16 where the processor has it.
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        settings |= dict(way.options)
        found = _plugin_devices(self._package, self.PROVIDER)
        options.add_provider_for_devices(found, {"load_config": json.dumps({"CPU": settings})})
        return open_graph(graph, options, self.PROVIDER)


OPENVINO_PLUGIN = OpenVinoPlugin()


# Cached, since a process can register a library once only.
@cache
def _plugin_devices(package: str, provider: str) -> list[Any]:
    """Return the CPU as the plugin sees it, or nothing where the plugin is not installed or finds none."""
    if importlib.util.find_spec(package) is None:
        return []
    try:
        onnxruntime.register_execution_provider_library(provider, importlib.import_module(package).get_library_path())
        found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
    except Exception:  # an ONNX Runtime without plugins, or a plugin made for another one
        return []
    # OpenVINO lists itself a second time, as a chooser among its own devices.
    return [device for device in found if device.ep_metadata.get("ov_device") == "CPU"]
