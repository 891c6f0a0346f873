"""What every engine answers for; each has a file beside this one.

Knows nothing about bundles: a graph is bytes and the folder of the weights that it refers to.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from edgebert.inputs.tokenization import Arrays
from edgebert.machine.device import default_threads, thread_counts
from edgebert.machine.memory import Memory, process_memory
from edgebert.subnet import Flavor, Precision, Way
from edgebert.tasks.task import Outputs

Options = tuple[tuple[str, str], ...]


class Session(Protocol):
    """A graph that is loaded and ready; `run` may be called from several threads at once."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that the graph has, of `input_ids`, `attention_mask` and `token_type_ids`."""

    def run(self, inputs: Arrays) -> Outputs:
        """Return the named outputs, float32 (batch, ...), for graph inputs (batch, length) int64.

        Raises:
            OutputError: the graph cannot be run.
        """


class Engine(ABC):
    """Runs graphs: ONNX Runtime with one of its providers, or another runtime."""

    NAME: ClassVar[str]  # short, as users give it
    PROVIDER: ClassVar[str]  # ONNX Runtime's own name for it
    FLAVORS: ClassVar[tuple[Flavor, ...]]  # of the graphs that it runs, the one that suits it first
    OPTIONS: ClassVar[tuple[Options, ...]] = ((),)  # all settings beside its usual ones that are known beforehand
    BATCH_SIZES: ClassVar[tuple[int, ...]] = (1,)  # measured where nobody asks for others
    # Whether the first request of a length takes longer, so that inputs may be padded to lengths that were met.
    NEW_SHAPES_COST: ClassVar[bool] = False
    # For who has not installed it: what it is good for, and the command; none for what is always there.
    GOOD_FOR: ClassVar[str] = ""
    INSTALL: ClassVar[str] = ""

    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """Return the devices that it can run on here, the usual one first; none if it is not installed or not able."""

    @abstractmethod
    def version(self) -> str:
        """Return the name and the version of what runs graphs, such as ONNX Runtime 1.31.1."""

    @abstractmethod
    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> Session:
        """Load a graph whose external data lies in the folder `weights`, and make sure that it runs where it should.

        Raises:
            BundleError: the graph is refused.
            EdgeBertError: the engine runs it elsewhere than asked for.
        """

    def could_run(self) -> bool:
        """Return whether it would work on this machine if it was installed, as far as that can be told before."""
        return True

    def takes(self, precision: Precision) -> bool:
        """Return whether graphs of a precision are worth running with it."""
        return True

    def options(
        self, precision: Precision, *, reduce_range: bool, lengths: Sequence[int] = (), batch_sizes: Sequence[int] = ()
    ) -> tuple[Options, ...]:
        """Return the settings worth trying on this machine, its usual ones first.

        With `reduce_range` the int8 weights have 7 bits; requests have these `lengths` and `batch_sizes`, or any.
        """
        return ((),)

    def knows(self, options: Options) -> bool:
        """Return whether it can be run with settings that a profile holds, wherever that comes from."""
        return options in self.OPTIONS

    def cures(self) -> tuple[Options, ...]:
        """Return the settings to be tried on this machine where its usual ones compute something else."""
        return ()

    def thread_counts(self) -> tuple[int, ...]:
        """Return the thread counts worth measuring, in ascending order."""
        return thread_counts()

    def usual_threads(self) -> int:
        """Return the thread count that is taken where nothing was measured."""
        counts, most = self.thread_counts(), default_threads()
        return max((count for count in counts if count <= most), default=counts[0])

    def memory(self) -> Memory:
        """Return what this process holds, on the device that counts."""
        return process_memory()
