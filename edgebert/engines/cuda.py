"""The engine `cuda`: ONNX Runtime's CUDA provider (extra `[cuda]`), on NVIDIA's GPUs.

A thread is one of the host's; more have nothing to do. Memory is that of the GPU.
"""

import contextlib
import ctypes
import io
import re
from functools import cache
from pathlib import Path
from typing import ClassVar

import onnxruntime

from edgebert.engines.engine import Engine, Options
from edgebert.engines.onnx_runtime import (
    RECORD_PLACES,
    OnnxRuntimeSession,
    open_graph,
    runtime_version,
    session_options,
)
from edgebert.errors import EdgeBertError, one_line
from edgebert.machine.gpus import Gpus
from edgebert.machine.memory import Memory
from edgebert.subnet import Flavor, Precision, Way

# float32 products are exact: on a GPU, TF32 would round what enters them to 10 bits. The arena grows by what is needed:
# it would double, and memory is measured. The device is added.
_SETTINGS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
# Norms in float32 inside of SkipLayerNormalization, where they are in float16 otherwise.
_STRICT_NORMS = (("enable_skip_layer_norm_strict_mode", "1"),)
# What computes with states. ONNX Runtime keeps what computes with shapes on the CPU, by design.
_HEAVY = re.compile("MatMul|Gemm|Attention|Normalization|Softmax|Gelu|Erf|Tanh")


class CudaEngine(Engine):
    """ONNX Runtime's CUDA provider, whose int8 is that of weights alone: it has no kernels for int8's operators."""

    NAME: ClassVar[str] = "cuda"
    PROVIDER: ClassVar[str] = "CUDAExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("fused", "portable")
    OPTIONS: ClassVar[tuple[Options, ...]] = ((), _STRICT_NORMS)
    BATCH_SIZES: ClassVar[tuple[int, ...]] = (1, 8, 32)
    GOOD_FOR: ClassVar[str] = "NVIDIA's GPUs and batches, in fp16"
    INSTALL: ClassVar[str] = "onnxruntime-gpu in the place of onnxruntime (docs/deployment.md)"

    def __init__(self, gpus: Gpus | None = None):
        """Take the GPUs of the machine."""
        self._gpus = gpus or Gpus()

    def devices(self) -> tuple[str, ...]:
        """Return the GPUs that CUDA shows to this process, if this ONNX Runtime has the provider: cuda:0, cuda:1."""
        # The provider is in the list wherever it was installed, with a GPU or without.
        if self.PROVIDER not in onnxruntime.get_available_providers():
            return ()
        return tuple(f"cuda:{number}" for number in range(self._gpus.visible()))

    def could_run(self) -> bool:
        """Return whether a GPU's driver is here."""
        return bool(self._gpus.names())

    def version(self) -> str:
        """Return the versions of CUDA, of the driver and of ONNX Runtime, and what GPUs they run on."""
        cuda = getattr(onnxruntime, "cuda_version", None) or "of unknown version"
        gpus = " and ".join(dict.fromkeys(self._gpus.names())) or "no GPU"
        return f"CUDA {cuda}, driver {self._gpus.driver_version()}, {runtime_version()}, on {gpus}"

    def takes(self, precision: Precision) -> bool:
        """Return whether there are kernels for a precision."""
        return precision in ("fp16", "fp32", "int8-weights")

    def cures(self) -> tuple[Options, ...]:
        """Return norms in float32."""
        return (_STRICT_NORMS,)

    def thread_counts(self) -> tuple[int, ...]:
        """Return one."""
        return (1,)

    def memory(self) -> Memory:
        """Return what this process holds of the GPUs' memory."""
        return self._gpus.process_memory()

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> OnnxRuntimeSession:
        """Load a graph; what the GPU cannot run is an error, and never left to the CPU but for what is about shapes."""
        if not self.takes(precision):
            raise EdgeBertError(f"{self.NAME} runs fp16, fp32 and int8-weights, found {precision}; export one of these")
        if way.device not in self.devices():
            here = ", ".join(self.devices()) or "none"
            raise EdgeBertError(f"expected a GPU of this machine ({here}), found {way.device}; choose one of them")
        _load_libraries()

        options = session_options(weights, way.threads)
        options.add_session_config_entry(*RECORD_PLACES)
        # Weights in int8 are made float32 when the graph is loaded, and not at every request.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        settings = {**_SETTINGS, "device_id": way.device.rpartition(":")[2], **dict(way.options)}
        try:
            session = open_graph(graph, options, self.PROVIDER, [(self.PROVIDER, settings)])
        except EdgeBertError as problem:
            raise _why_not(problem) from None
        check_places(session, "CPUExecutionProvider")
        return session


def check_places(session: OnnxRuntimeSession, elsewhere: str) -> None:
    """Raise an EdgeBertError if a provider that should run nothing heavy runs what computes with states."""
    misplaced = sorted(filter(_HEAVY.search, session.operators_on(elsewhere)))
    if misplaced:
        found = f"ONNX Runtime left {', '.join(misplaced)} to {elsewhere}"
        raise EdgeBertError(f"{found}; choose another flavor, precision or provider")


# Once in a process: those that are loaded stay so.
@cache
def _load_libraries() -> None:
    """Load CUDA's and cuDNN's libraries where pip has put them; those of the system are found without."""
    # Who asks for what is not there learns it from an error, and not from lines on standard error.
    onnxruntime.set_default_logger_severity(4)
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it did not find.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def _why_not(problem: EdgeBertError) -> EdgeBertError:
    """Return why the provider could not start: the library that is missing, where ONNX Runtime says no more than that
    it fell back."""
    path = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if "fell back" in str(problem) and path.exists():
        try:
            ctypes.CDLL(str(path))
        except OSError as missing:
            if "cannot open shared object" in str(missing):
                advice = "install the driver and 'onnxruntime-gpu[cuda,cudnn]' (docs/deployment.md)"
                return EdgeBertError(f"{CudaEngine.PROVIDER} could not start: {one_line(str(missing))}; {advice}")
    return problem


CUDA = CudaEngine()
