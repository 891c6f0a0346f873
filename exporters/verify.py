"""Runs every exported graph against the reference before a bundle is finished."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from edgebert.engines.cpu import CPU
from edgebert.engines.session import default_way, engines_here, open_session
from edgebert.errors import ExportError
from edgebert.exporters import reference
from edgebert.exporters.calibration import Ranges
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.quantize import Range
from edgebert.exporters.reference import Inputs, Rounding
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.measuring.trial import mean_difference
from edgebert.subnet import Precision, Storage, Subnet, Way, storage_of

# How far a graph's logits may lie from those of the reference that rounds as it does, on average over texts: a share
# of the largest logit, and a least value. Where a state lies between two int8 levels its last bit decides which one it
# becomes, and that difference travels on through the layers: a single text may be off by a tenth of the largest logit,
# all of them together were never by more than 0.02. A graph that computes something else is off in all of them.
TOLERANCE: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-4, 1e-4),
    "int8": (0.06, 0.02),
    "int8-static": (0.06, 0.02),
    "int8-weights": (1e-4, 1e-4),
}


@dataclass(frozen=True)
class Verifier:
    """The checkpoint, its tensors as they are stored, and the inputs on which graphs are compared with it."""

    source: Checkpoint
    stored: dict[Storage, dict[str, Array]]
    batches: tuple[Inputs, ...]

    def expected(self, subnet: Subnet, ranges: Ranges) -> list[Array]:
        """Return the logits (batch, labels) that the graphs of a sub-network must give for each batch."""
        tensors, rounding = self.stored[storage_of(subnet.precision)], rounding_of(subnet.precision, ranges)
        return [reference.logits(subnet, self.source, tensors, inputs, rounding) for inputs in self.batches]

    def check(self, bundle: Bundle, subnet: ExportedSubnet, expected: Sequence[Array]) -> tuple[float, float]:
        """Return the largest difference of a sub-network's logits from the checkpoint's own, and how often their
        largest is the same, of 1.

        Raises:
            ExportError: one of its graphs does not compute what it should.
        """
        original = np.concatenate(
            [reference.logits(subnet, self.source, self.source.tensors, inputs) for inputs in self.batches]
        )
        difference, agreement = 0.0, 1.0
        for way in _ways(subnet):
            session = open_session(bundle, subnet, way)
            found = np.concatenate(
                [session.run({n: inputs[n] for n in session.input_names})["logits"] for inputs in self.batches]
            )
            check_close(subnet, found, np.concatenate(expected), way.engine)
            difference = max(difference, float(np.abs(found - original).max()))
            agreement = min(agreement, float((found.argmax(axis=1) == original.argmax(axis=1)).mean()))
        return difference, agreement


def rounding_of(precision: Precision, ranges: Ranges) -> Rounding:
    """Return how a precision rounds what enters a product."""
    match precision:
        case "int8":
            return lambda _, x: Range.of(x).rounded(x)
        case "int8-static":
            return lambda unit, x: ranges[unit].rounded(x)
        case _:
            return reference.unrounded


def _ways(subnet: ExportedSubnet) -> Iterator[Way]:
    """Yield every way, on one thread, in which a sub-network can be run here."""
    for engine in engines_here():
        usual = default_way(engine.NAME, threads=1)
        yield from (
            msgspec.structs.replace(usual, flavor=flavor) for flavor in engine.FLAVORS if flavor in subnet.graphs
        )


def check_close(subnet: Subnet, found: Array, expected: Array, engine: str = CPU.NAME) -> None:
    """Raise an ExportError with the figure if logits differ by more than the precision's tolerance."""
    allowed = (tolerance if engine == CPU.NAME else device_tolerance)(subnet.precision, expected)
    difference = mean_difference(found, expected)
    if not difference <= allowed:  # also when it is not a number
        figures = f"logits differ by {difference:.2g}, at most {allowed:.2g} is allowed"
        wrong = f"the graph of {subnet.id} does not compute what the checkpoint does on {engine}"
        raise ExportError(f"{wrong}: {figures}; report this")


def tolerance(precision: Precision, expected: Array) -> float:
    """Return how far logits of a precision may lie from the expected ones."""
    share, least = TOLERANCE[precision]
    return max(least, share * float(np.abs(expected).max()))


def device_tolerance(precision: Precision, expected: Array) -> float:
    """Return how far logits may lie from the expected ones on a device, where int8-weights may compute in bfloat16."""
    return tolerance("int8" if precision == "int8-weights" else precision, expected)


def random_inputs(source: Checkpoint, max_length: int, *, token_types: bool, seed: int = 0) -> tuple[Inputs, ...]:
    """Return a padded batch of mixed lengths, with two segments each if types are told apart, and one full text."""
    generator = np.random.default_rng(seed)
    types = source.sizes.types if token_types else 1
    mixed = [length for length in (2, 5, 17, 40) if length <= max_length]
    return tuple(_random_batch(generator, source, types, lengths) for lengths in (mixed, [max_length]))


def _random_batch(generator: np.random.Generator, source: Checkpoint, types: int, lengths: list[int]) -> Inputs:
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    segments = generator.integers(0, types, shape)
    ids = generator.integers(0, source.sizes.vocabulary, shape)
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    return {**inputs, "token_type_ids": segments * mask} if types > 1 else inputs
