"""The engine `openvino`: OpenVINO's own runtime (extra `[openvino]`), on processors of Intel, AMD and ARM.

A thread is one of OpenVINO's own. Graphs have free shapes, so that a length that is met for the first time takes
longer, or are compiled for each of some fixed ones.
"""

import importlib
import importlib.util
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgebert.engines import openvino_model
from edgebert.engines.engine import Engine, Options
from edgebert.engines.fixed_shapes import FixedShapes, filled
from edgebert.engines.forks import keep_in_forks
from edgebert.errors import BundleError, EdgeBertError, OutputError, one_line
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.device import saturates_int8
from edgebert.python_exit import NATIVE_CALL
from edgebert.subnet import Flavor, Precision, Way, rounds_inputs
from edgebert.tasks.task import Outputs

# Products of int8 where this processor's sums of them saturate.
_INEXACT = (("LP_TRANSFORMS_MODE", "YES"),)


class OpenVinoEngine(Engine):
    """OpenVINO's CPU plugin."""

    NAME: ClassVar[str] = "openvino"
    PROVIDER: ClassVar[str] = "OpenVINOExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("portable",)
    OPTIONS: ClassVar[tuple[Options, ...]] = ((), _INEXACT)
    NEW_SHAPES_COST: ClassVar[bool] = True
    GOOD_FOR: ClassVar[str] = "requests of one length and batches, in int8-static"
    INSTALL: ClassVar[str] = "pip install 'edgebert[openvino]'"

    def __init__(self, package: str = "openvino", saturates: Callable[[], bool] = saturates_int8):
        """Take the runtime from an installed package, and what tells whether this processor's int8 sums are inexact."""
        self._package, self._saturates = package, saturates

    def devices(self) -> tuple[str, ...]:
        """Return the CPU, where the package is installed."""
        # Not by importing it, which takes 130 ms.
        return ("cpu",) if importlib.util.find_spec(self._package) else ()

    def version(self) -> str:
        """Return OpenVINO's version."""
        from importlib import metadata  # only here, since every import of edgebert would take longer for it

        return f"OpenVINO {metadata.version(self._package)}"

    def takes(self, precision: Precision) -> bool:
        """Return whether it runs graphs of a precision."""
        # Of ranges that are found in each request it makes float32 products, 3 to 6 times as slow (docs/log.md).
        return precision != "int8"

    def options(
        self, precision: Precision, *, reduce_range: bool, lengths: Sequence[int] = (), batch_sizes: Sequence[int] = ()
    ) -> tuple[Options, ...]:
        """Return free shapes; where those of requests are known, a network for each; and inexact sums, where right."""
        fixed = FixedShapes(tuple(lengths), tuple(batch_sizes))
        inexact = reduce_range and rounds_inputs(precision) and self._saturates()
        return ((), *[fixed.options] * fixed.are_sound, *[_INEXACT] * inexact)

    def knows(self, options: Options) -> bool:
        """Return whether options are known beforehand or name fixed shapes."""
        return super().knows(options) or FixedShapes.of(options) is not None

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> "OpenVinoSession":
        """Load a graph; sums of int8 products are exact on every processor, all else is computed in float32."""
        try:
            openvino = importlib.import_module(self._package)
        except ImportError as problem:  # it is there, but not as it should be
            raise EdgeBertError(f"OpenVINO cannot be loaded: {one_line(str(problem))}; install it again") from None
        settings = {
            "INFERENCE_NUM_THREADS": way.threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Else bfloat16 or float16 where the processor has them, with answers that depend on it.
            "INFERENCE_PRECISION_HINT": "f32",
            # Else what enters products with int8 weights is rounded to int8 too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            # Threads that are bound to a core wait where another program takes it.
            "ENABLE_CPU_PINNING": False,
        }
        if rounds_inputs(precision) and self._saturates() and way.options != _INEXACT:
            # Then int8 graphs are computed as they are written, in float32: OpenVINO has no exact sums there.
            settings["LP_TRANSFORMS_MODE"] = False
        fixed = FixedShapes.of(way.options)
        try:
            with NATIVE_CALL:
                core = openvino.Core()
                model, mapped = openvino_model.read(core, openvino.op.Constant, graph, weights)
                rows, per_token = openvino_model.rows_of_tables(model), openvino_model.per_token(model)
                if fixed is None:
                    return OpenVinoSession(_Compiled(core.compile_model(model, "CPU", settings)), mapped, rows)
                openvino_model.split_products(model, openvino.opset13)
                networks = {}
                for shape in fixed:
                    of_shape = model.clone()
                    of_shape.reshape({value.any_name: list(shape) for value in of_shape.inputs})
                    networks[shape] = _Compiled(core.compile_model(of_shape, "CPU", settings))
        except EdgeBertError:
            raise
        except Exception as problem:  # OpenVINO raises RuntimeError for almost everything
            raise BundleError(_refusal("load", problem)) from None
        return OpenVinoSession(_OfFixedShapes(networks, fixed, per_token), mapped, rows)


class OpenVinoSession:
    """Compiled models; `run` may be called from several threads at once."""

    def __init__(self, networks: "_Compiled | _OfFixedShapes", mapped: mmap.mmap, rows: dict[str, int]):
        """Wrap compiled models, which read rows of tables from the mapped weight file for as long as it is there.

        `rows` says how many rows there are for numbers of an input.
        """
        self._networks, self._mapped, self._rows = networks, mapped, rows
        self.input_names: tuple[str, ...] = networks.input_names

    def run(self, inputs: Arrays) -> Outputs:
        """Return the named outputs, float32 (batch, ...), for graph inputs (batch, length) int64."""
        for name, rows in self._rows.items():
            # OpenVINO takes zeros for a row that is not there.
            if not 0 <= inputs[name].min() <= inputs[name].max() < rows:
                found = f"found {inputs[name].min()} to {inputs[name].max()}"
                raise OutputError(f"expected {name} of 0 to {rows - 1}, {found}; export the bundle again")
        try:
            with NATIVE_CALL:
                return self._networks.run({name: inputs[name] for name in self.input_names})
        except EdgeBertError:
            raise
        except Exception as problem:  # OpenVINO raises RuntimeError for almost everything
            raise OutputError(_refusal("run", problem)) from None


class _Compiled:
    """A compiled model."""

    def __init__(self, compiled: Any):
        self._compiled = compiled
        keep_in_forks(compiled, of_forks=True)
        # One is used by one thread at a time; as many are made as threads ask at once.
        self._requests: list[Any] = [compiled.create_infer_request()]
        self.input_names = tuple(value.any_name for value in compiled.inputs)
        self._output_names = [value.any_name for value in compiled.outputs]

    def run(self, inputs: Arrays) -> Outputs:
        request = self._requests.pop() if self._requests else self._compiled.create_infer_request()
        found = request.infer(inputs, share_inputs=True)
        outputs = {name: found[index] for index, name in enumerate(self._output_names)}
        self._requests.append(request)
        return outputs


class _OfFixedShapes:
    """A compiled model for each of some shapes; `per_token` are the outputs that have a value for each token."""

    def __init__(self, networks: dict[tuple[int, int], _Compiled], fixed: FixedShapes, per_token: set[str]):
        self._networks, self._fixed, self._per_token = networks, fixed, per_token
        self.input_names = next(iter(networks.values())).input_names

    def run(self, inputs: Arrays) -> Outputs:
        shape = inputs["input_ids"].shape
        if shape in self._networks:
            return self._networks[shape].run(inputs)

        rows, length = shape
        padded, start = self._fixed.padded(length), 0
        parts: list[Outputs] = []
        for size in self._fixed.parts(rows):
            outputs = self._networks[size, padded].run(filled(inputs, start, (size, padded)))
            parts.append({name: values[: rows - start] for name, values in outputs.items()})
            start += size
        together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {name: values[:, :length] if name in self._per_token else values for name, values in together.items()}


def _refusal(verb: str, problem: Exception) -> str:
    return f"OpenVINO cannot {verb} the graph: {one_line(str(problem))}; export the bundle again"


OPENVINO = OpenVinoEngine()
