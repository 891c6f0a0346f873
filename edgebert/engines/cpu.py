"""The engine `cpu`: ONNX Runtime's CPU provider. A thread is one of its pool's, the caller's included."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import onnxruntime

from edgebert.engines.engine import Engine, Options
from edgebert.engines.onnx_runtime import OnnxRuntimeSession, open_graph, runtime_version, session_options
from edgebert.errors import EdgeBertError
from edgebert.machine.device import has_sme, is_x86, saturates_int8
from edgebert.subnet import Flavor, Precision, Way, rounds_inputs

# ONNX Runtime's settings of sessions: exact sums of uint8 times int8 on x86, and products without Arm's KleidiAI, which
# rounds what enters a product row by row where the operator says all of it at once.
_EXACT, _WITHOUT_KLEIDIAI = "session.x64quantprecision", "mlas.disable_kleidiai"
# Versions before it end the process where a graph with QAttention is to be computed with exact sums.
_EXACT_SUMS = (1, 30)


class CpuEngine(Engine):
    """ONNX Runtime's CPU provider, which is always there."""

    NAME: ClassVar[str] = "cpu"
    PROVIDER: ClassVar[str] = "CPUExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("fused", "portable")
    OPTIONS: ClassVar[tuple[Options, ...]] = ((), ((_EXACT, "0"),), ((_EXACT, "1"),), ((_WITHOUT_KLEIDIAI, "1"),))

    def __init__(self, saturates: Callable[[], bool] = saturates_int8, rounds_rows: Callable[[], bool] = has_sme):
        """Take what tells whether this processor's int8 products are inexact, and whether KleidiAI rounds by row."""
        self._saturates, self._rounds_rows = saturates, rounds_rows

    def devices(self) -> tuple[str, ...]:
        """Return the CPU."""
        return ("cpu",)

    def takes(self, precision: Precision) -> bool:
        """Return whether a precision is worth measuring: fp16 is not, whose graphs it opens and computes in float32."""
        # MiniLM-L6, one thread: 1.03 to 1.14 times as slow as fp32 (docs/log.md).
        return precision != "fp16"

    def options(
        self, precision: Precision, *, reduce_range: bool, lengths: Sequence[int] = (), batch_sizes: Sequence[int] = ()
    ) -> tuple[Options, ...]:
        """Return the usual settings and, where exact sums are slower and not needed, to do without them."""
        return ((), ((_EXACT, "0"),)) if reduce_range and rounds_inputs(precision) and self._saturates() else ((),)

    def cures(self) -> tuple[Options, ...]:
        """Return exact sums on x86, and products without KleidiAI on Arm."""
        return (((_EXACT, "1"),),) if is_x86() else (((_WITHOUT_KLEIDIAI, "1"),),)

    def version(self) -> str:
        """Return ONNX Runtime's version."""
        return runtime_version()

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> OnnxRuntimeSession:
        """Load a graph; its int8 products are exact on every processor, or refused."""
        options = session_options(weights, way.threads)
        if precision == "int8-weights":
            # Else ONNX Runtime makes products of them that round the activations too.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        elif rounds_inputs(precision) and self._saturates() and (_EXACT, "0") not in way.options:
            # Exact sums take an eighth longer; answers that depend on the processor would be worse. ONNX Runtime has no
            # exact form of what it makes of QuantizeLinear and DequantizeLinear, so these are computed as written.
            as_written = precision == "int8-static" and way.flavor == "portable"
            if not as_written and _older_than(*_EXACT_SUMS):
                version, expected = onnxruntime.__version__, ".".join(map(str, _EXACT_SUMS))
                found = f"exact int8 sums on this processor need ONNX Runtime {expected}, found {version}"
                raise EdgeBertError(f"{found}; pip install 'onnxruntime>={expected}'")
            options.add_session_config_entry("session.disable_quant_qdq" if as_written else _EXACT, "1")
        if precision == "int8" and self._rounds_rows():
            options.add_session_config_entry(_WITHOUT_KLEIDIAI, "1")
        for name, value in way.options:
            options.add_session_config_entry(name, value)
        return open_graph(graph, options, self.PROVIDER, [self.PROVIDER])


def _older_than(*version: int) -> bool:
    """Return whether ONNX Runtime is of a version before this one."""
    return tuple(int(part) for part in onnxruntime.__version__.split(".")[: len(version)]) < version


CPU = CpuEngine()
