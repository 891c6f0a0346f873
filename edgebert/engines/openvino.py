"""The engine `openvino`: OpenVINO's own runtime (extra `[openvino]`), on processors of Intel, AMD and ARM.

A thread is one of OpenVINO's own. Graphs have free shapes: a length that is met for the first time takes longer.
"""

import importlib
import importlib.util
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgebert.engines.engine import Engine, Options
from edgebert.engines.forks import keep_in_forks
from edgebert.errors import BundleError, EdgeBertError, OutputError, one_line
from edgebert.inputs.graph_file import in_memory, references
from edgebert.inputs.tokenization import Arrays
from edgebert.python_exit import NATIVE_CALL
from edgebert.subnet import Flavor, Precision, Way
from edgebert.tasks.task import Outputs

# What graphs do with constants before they use them, such as the matrices of q, k and v side by side. OpenVINO takes a
# matrix for one of int8 only where nothing is between its numbers and their scales.
_FOLDED = ("Transpose", "Concat")


class OpenVinoEngine(Engine):
    """OpenVINO's CPU plugin."""

    NAME: ClassVar[str] = "openvino"
    PROVIDER: ClassVar[str] = "OpenVINOExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("portable",)
    OPTIONS: ClassVar[tuple[Options, ...]] = ((),)
    NEW_SHAPES_COST: ClassVar[bool] = True
    GOOD_FOR: ClassVar[str] = "requests of one length and batches, in int8-static"
    INSTALL: ClassVar[str] = "pip install 'edgebert[openvino]'"

    def __init__(self, package: str = "openvino"):
        """Take the runtime from an installed package of that name."""
        self._package = package

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

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> "OpenVinoSession":
        """Load a graph; products of int8 are summed up in integers, all else is computed in float32."""
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
        mapped = _mapped(graph, weights)
        try:
            with NATIVE_CALL:
                core = openvino.Core()
                model = core.read_model(in_memory(graph, np.frombuffer(mapped, np.uint8).ctypes.data))
                _fold(model, openvino.op.Constant)
                compiled = core.compile_model(model, "CPU", settings | dict(way.options))
        except Exception as problem:  # OpenVINO raises RuntimeError for almost everything
            raise BundleError(_refusal("load", problem)) from None
        return OpenVinoSession(compiled, mapped, _rows(model))


class OpenVinoSession:
    """A compiled model; `run` may be called from several threads at once."""

    def __init__(self, compiled: Any, mapped: mmap.mmap, rows: dict[str, int]):
        """Wrap a compiled model, which reads rows of tables from the mapped weight file for as long as it is there.

        `rows` says how many rows there are for numbers of an input.
        """
        self._compiled, self._mapped = compiled, mapped
        keep_in_forks(compiled, of_forks=True)
        # One is used by one thread at a time; as many are made as threads ask at once.
        self._requests: list[Any] = [compiled.create_infer_request()]
        self.input_names: tuple[str, ...] = tuple(value.any_name for value in compiled.inputs)
        self._output_names = [value.any_name for value in compiled.outputs]
        self._rows = rows

    def run(self, inputs: Arrays) -> Outputs:
        """Return the named outputs, float32 (batch, ...), for graph inputs (batch, length) int64."""
        for name, rows in self._rows.items():
            # OpenVINO takes zeros for a row that is not there.
            if not 0 <= inputs[name].min() <= inputs[name].max() < rows:
                found = f"found {inputs[name].min()} to {inputs[name].max()}"
                raise OutputError(f"expected {name} of 0 to {rows - 1}, {found}; export the bundle again")
        try:
            with NATIVE_CALL:
                request = self._requests.pop() if self._requests else self._compiled.create_infer_request()
                found = request.infer({name: inputs[name] for name in self.input_names}, share_inputs=True)
                outputs = {name: found[index] for index, name in enumerate(self._output_names)}
                self._requests.append(request)
        except Exception as problem:  # OpenVINO raises RuntimeError for almost everything
            raise OutputError(_refusal("run", problem)) from None
        return outputs


def _mapped(graph: bytes, weights: Path) -> mmap.mmap:
    """Return the weight file that a graph refers into, mapped and not copied."""
    (name,) = {reference.file for reference in references(graph, "the graph")}
    with open(weights / name, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _fold(model: Any, constant: Callable[[Any], Any]) -> None:
    """Compute what a model's graph makes of constants alone, so that each matrix is one constant of int8."""
    for node in model.get_ordered_ops():
        sources = [value.get_source_output().get_node() for value in node.inputs()]
        if node.get_type_name() in _FOLDED and all(one.get_type_name() == "Constant" for one in sources):
            first, *others = (one.data for one in sources)
            if node.get_type_name() == "Transpose":
                folded = np.ascontiguousarray(first.transpose(*others))
            else:
                folded = np.concatenate([first, *others], node.get_attributes()["axis"])
            node.output(0).replace(constant(folded).output(0))


def _rows(model: Any) -> dict[str, int]:
    """Return how many rows the smallest table has that is read by numbers of an input, by the input's name."""
    rows: dict[str, int] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gather":
            table, numbers = (value.get_source_output() for value in node.inputs()[:2])
            source = numbers.get_node()
            while source.get_type_name() == "Convert":
                source = source.input(0).get_source_output().get_node()
            if source.get_type_name() == "Parameter":
                name, size = source.output(0).any_name, table.get_shape()[0]
                rows[name] = min(size, rows.get(name, size))
    return rows


def _refusal(verb: str, problem: Exception) -> str:
    return f"OpenVINO cannot {verb} the graph: {one_line(str(problem))}; export the bundle again"


OPENVINO = OpenVinoEngine()
