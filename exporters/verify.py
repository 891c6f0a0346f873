"""Runs every exported graph against the reference before a bundle is finished."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgebert.bundle import Bundle, ExportedSubnet
from edgebert.errors import ExportError
from edgebert.exporters import reference
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.reference import Inputs
from edgebert.session import open_session
from edgebert.subnet import Precision, Subnet

# How far a graph's logits may lie from those of the reference that rounds as it does: a share of the largest logit,
# and a least value. Where a state lies between two int8 levels its last bit decides which one it becomes, and that
# difference travels on through the layers: up to 0.03 of the largest logit was seen for MiniLM, and 0.01 in all.
TOLERANCE: dict[Precision, tuple[float, float]] = {"fp32": (1e-4, 1e-4), "int8": (0.1, 0.03)}


@dataclass(frozen=True)
class Verifier:
    """The checkpoint in float32 and as stored, and the inputs on which graphs are compared with it."""

    checkpoint: Checkpoint
    stored: dict[Literal["fp32", "int8"], dict[str, Array]]
    batches: tuple[Inputs, ...]

    def expected(self, subnet: Subnet, inputs: Inputs) -> Array:
        """Return the logits (batch, labels) that the graph of a sub-network must give."""
        dtype: Literal["fp32", "int8"] = "fp32" if subnet.precision == "fp32" else "int8"
        return self._logits(subnet, self.stored[dtype], inputs, int8=dtype == "int8")

    def check(self, bundle: Bundle, subnet: ExportedSubnet) -> float:
        """Return the largest difference of a graph's logits from the checkpoint's own.

        Raises:
            ExportError: the graph does not compute what it should.
        """
        session = open_session(bundle, subnet)
        difference = 0.0
        for inputs in self.batches:
            found = session.run({name: inputs[name] for name in session.input_names})
            check_close(subnet, found, self.expected(subnet, inputs))
            original = self._logits(subnet, self.checkpoint.tensors, inputs, int8=False)
            difference = max(difference, float(np.abs(found - original).max()))
        return difference

    def _logits(self, subnet: Subnet, tensors: dict[str, Array], inputs: Inputs, int8: bool) -> Array:
        sizes, eps = self.checkpoint.sizes, self.checkpoint.layer_norm_eps
        return reference.logits(subnet, sizes, eps, tensors, inputs, int8=int8)


def check_close(subnet: Subnet, found: Array, expected: Array) -> None:
    """Raise an ExportError with the figure if logits differ by more than the precision's tolerance."""
    allowed = tolerance(subnet.precision, expected)
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:  # also when it is not a number
        figures = f"logits differ by {difference:.2g}, at most {allowed:.2g} is allowed"
        raise ExportError(f"the graph of {subnet.id} does not compute what the checkpoint does: {figures}; report this")


def tolerance(precision: Precision, expected: Array) -> float:
    """Return how far logits of a precision may lie from the expected ones."""
    share, least = TOLERANCE[precision]
    return max(least, share * float(np.abs(expected).max()))


def random_inputs(checkpoint: Checkpoint, max_length: int, seed: int = 0) -> tuple[Inputs, ...]:
    """Return a padded batch of mixed lengths with two segments each, and one text of the full length."""
    generator = np.random.default_rng(seed)
    mixed = [length for length in (2, 5, 17, 40) if length <= max_length]
    return tuple(_random_batch(generator, checkpoint, lengths) for lengths in (mixed, [max_length]))


def _random_batch(generator: np.random.Generator, checkpoint: Checkpoint, lengths: list[int]) -> Inputs:
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    types = generator.integers(0, checkpoint.sizes.types, shape)
    ids = generator.integers(0, checkpoint.sizes.vocabulary, shape)
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types * mask}
