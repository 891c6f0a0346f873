"""Runs every exported graph against the reference before a bundle is finished."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from edgebert.engines.cpu import CPU
from edgebert.engines.session import default_way, engines_here, open_session
from edgebert.errors import ExportError
from edgebert.exporters import reference
from edgebert.exporters.bundle_writer import GraphWriter
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.quantize import InputRounding, InputRoundings, check_fits_half
from edgebert.exporters.reference import Keeping, Rounding
from edgebert.exporters.steps import checked_steps
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import ExportDifference, ExportedSubnet
from edgebert.inputs.tokenization import Arrays, rows_of
from edgebert.subnet import Precision, Storage, Subnet, rounds_inputs, storage_of
from edgebert.tasks.task import Outputs, Result, mean_difference

# How far a graph's outputs may lie from those of the reference that rounds as it does, on average over texts: a share
# of the largest number, and a least value. In int8 this tells devices and files that are plainly wrong: what a graph
# computes is compared product by product, since roundings that fall the other way travel on through the layers.
TOLERANCE: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-4, 1e-4),
    "fp16": (2e-3, 1e-3),
    "int8": (0.06, 0.02),
    "int8-static": (0.06, 0.02),
    "int8-weights": (1e-4, 1e-4),
}

# A device that computes in float16 may move outputs so many times as far as the rounding of the weights to it does. To
# round all that is computed too moves them 0.6 to 2 times as far in all families, of 4 to 24 layers (3.5 times once,
# where the rounding of the weights happened to move them little).
_TIMES_WEIGHTS = 4

# So often the reference is run with noise, to learn how far rounding moves a sub-network's outputs; a device may be off
# by so much more, in logits, or of the largest number where that is less.
_DRAWS, _DEVICE_TOLERANCE = 8, 1e-3

# Of texts that graphs are compared on. The reference holds a score for each two tokens of a text, and positions beyond
# are those of the same tables.
_MOST_TOKENS = 1024


@dataclass(frozen=True)
class Verifier:
    """The checkpoint, its tensors as they are stored, and the inputs on which graphs are compared with it."""

    source: Checkpoint
    stored: dict[Storage, dict[str, Array]]
    batches: tuple[Arrays, ...]
    _exact: dict[tuple[tuple[int, ...], ...], list[Outputs]] = field(default_factory=dict, init=False)

    def expected(self, graphs: GraphWriter, subnet: Subnet, roundings: InputRoundings) -> list[Outputs]:
        """Return the outputs that the graphs of a sub-network must give for each batch: those of the reference.

        Where what enters products is rounded, those for all batches but the first are what a graph gives that was
        compared with the reference product by product.

        Raises:
            ExportError: that graph does not compute what it should.
        """
        if subnet.precision == "fp32":
            return self.exact(subnet)
        tensors, rounding = self.stored[storage_of(subnet.precision)], rounding_of(subnet.precision, roundings)

        def compute(inputs: Arrays, rounding: Rounding) -> Outputs:
            keeping = _fitting(subnet) if subnet.precision == "fp16" else lambda x: x
            return reference.outputs(subnet, self.source, tensors, inputs, rounding, keeping)

        if not rounds_inputs(subnet.precision):
            return self._of_tokens(compute(inputs, rounding) for inputs in self.batches)
        first, *others = self.batches
        # The longest with one flavor alone, since the reference takes long for it.
        for flavor, batches in (("fused", others[:1]), ("portable", others)):
            way = msgspec.structs.replace(default_way(CPU.NAME, threads=1), flavor=flavor)
            graph = graphs.that_shows_read(subnet, roundings, flavor)  # type: ignore[arg-type]
            session = CPU.open(graph, graphs.bundle.path, subnet.precision, way)
            found = checked_steps(subnet, session, batches, rounding, compute)
        return self._of_tokens([compute(first, rounding), *found])

    def exact(self, subnet: Subnet) -> list[Outputs]:
        """Return the outputs of its slice in float32 for each batch."""
        # Once for all precisions: for a model of BERT-base's size this takes most of an export.
        part, tensors = (subnet.layers, subnet.heads, subnet.ffn), self.source.tensors
        if part not in self._exact:
            outputs = (reference.outputs(subnet, self.source, tensors, inputs) for inputs in self.batches)
            self._exact[part] = self._of_tokens(outputs)
        return self._exact[part]

    def golden_tolerances(self, subnet: Subnet, roundings: InputRoundings, expected: Outputs) -> dict[str, float]:
        """Return how far each output for the golden texts, the first batch, may be from the expected one on a device.

        That is what rounding explains. Processors add up in another order, so that a number between two levels may
        become the other one; the reference is run again with numbers that differ in their last bits.
        """
        if subnet.precision == "fp16":
            return {name: tolerance("fp16", [right], [self.exact(subnet)[0][name]]) for name, right in expected.items()}
        moved = [self._with_noise(subnet, roundings, seed) for seed in range(_DRAWS)]
        return {
            name: max(mean_difference(one, {name: right}) for one in moved)
            + _DEVICE_TOLERANCE * min(1.0, float(np.abs(right).max()))
            for name, right in expected.items()
        }

    def _with_noise(self, subnet: Subnet, roundings: InputRoundings, seed: int) -> Outputs:
        """Return the outputs for the golden texts where what enters products differs by float32's last bits."""
        generator, rounding = np.random.default_rng(seed), rounding_of(subnet.precision, roundings)

        def noisy(unit: str, x: Array) -> Array:
            noise = generator.standard_normal(x.shape, np.float32)
            return rounding(unit, x + noise * np.finfo(np.float32).eps * np.abs(x).max())

        inputs, tensors = self.batches[0], self.stored[storage_of(subnet.precision)]
        outputs = reference.outputs(subnet, self.source, tensors, inputs, noisy)
        return self.source.task.without_padding(outputs, inputs["attention_mask"])

    def _of_tokens(self, outputs: Iterable[Outputs]) -> list[Outputs]:
        """Return the outputs for all batches without those of padding."""
        pairs = zip(outputs, self.batches, strict=True)
        return [self.source.task.without_padding(one, inputs["attention_mask"]) for one, inputs in pairs]

    def check(
        self, bundle: Bundle, subnet: ExportedSubnet, expected: Sequence[Outputs], exact: Sequence[Outputs]
    ) -> ExportDifference:
        """Return how far a sub-network's graphs are from its slice in float32, the worst of them.

        Raises:
            ExportError: one of its graphs does not compute what it should.
        """
        task, exact_results = self.source.task, self._results(exact)

        difference, agreement = 0.0, 1.0
        # On the CPU all precisions can be verified, if none are worth measuring there.
        for engine in (one for one in engines_here() if one is CPU or one.takes(subnet.precision)):
            usual = default_way(engine.NAME, threads=1)
            for flavor in engine.FLAVORS:
                session = open_session(bundle, subnet, msgspec.structs.replace(usual, flavor=flavor))
                asked = ({name: inputs[name] for name in session.input_names} for inputs in self.batches)
                found = self._of_tokens(map(session.run, asked))
                check_close(subnet, found, expected, exact, engine.NAME)

                agreement = min(agreement, task.fidelity(self._results(found), exact_results))
                for outputs, right in zip(found, exact, strict=True):
                    difference = max(difference, *(float(np.abs(outputs[name] - right[name]).max()) for name in right))
        return ExportDifference(max_abs_difference=difference, agreement=agreement, quality_drop=None)

    def _results(self, outputs: Sequence[Outputs]) -> list[Result]:
        """Return the results of all texts of the batches from the outputs for each."""
        task = self.source.task
        options, found = task.options({}), zip(outputs, self.batches, strict=True)
        return [result for one, inputs in found for result in task.results(one, rows_of(inputs), options)]


def _fitting(subnet: Subnet) -> Keeping:
    """Return what checks that float16 holds all that a sub-network computes; a CPU computes in float32 even in fp16."""

    def keeping(x: Array) -> Array:
        check_fits_half(x, f"all that {subnet.id} computes to be")
        return x

    return keeping


def rounding_of(precision: Precision, roundings: InputRoundings) -> Rounding:
    """Return how a precision rounds what enters a product."""
    if not rounds_inputs(precision):
        return lambda _, x: x
    return lambda unit, x: roundings.get(unit, InputRounding()).rounded(x)


def check_close(
    subnet: Subnet,
    found: Sequence[Outputs],
    expected: Sequence[Outputs],
    exact: Sequence[Outputs],
    engine: str = CPU.NAME,
) -> None:
    """Raise an ExportError with the figure if outputs differ by more than the precision's tolerance, over all batches.

    Each batch has as many outputs by name; every text counts as much as any other. `exact` are those in float32.
    """
    for name in expected[0]:
        right, unrounded = [outputs[name] for outputs in expected], [outputs[name] for outputs in exact]
        allowed = tolerance(subnet.precision, right, unrounded)
        difference = _difference([outputs[name] for outputs in found], right)
        # So that what is not a number is refused too.
        if not difference <= allowed:
            figures = f"{name} differ by {difference:.2g}, at most {allowed:.2g} is allowed"
            wrong = f"the graph of {subnet.id} does not compute what the checkpoint does on {engine}"
            raise ExportError(f"{wrong}: {figures}; report this")


def _difference(found: Sequence[Array], right: Sequence[Array]) -> float:
    """Return how far an output lies from another, on average over the texts of all batches."""
    pairs = zip(found, right, strict=True)
    sums = [len(one) * mean_difference({"": values}, {"": one}) for values, one in pairs]
    return sum(sums) / sum(map(len, right))


def tolerance(precision: Precision, expected: Sequence[Array], exact: Sequence[Array]) -> float:
    """Return how far an output of a precision may lie from the expected one, given for each batch, with the exact one
    that it is in float32."""
    share, least = TOLERANCE[precision]
    allowed = max(least, share * max(float(np.abs(one).max()) for one in expected))
    if precision == "fp16":
        return max(allowed, _TIMES_WEIGHTS * _difference(expected, exact))
    # Where levels are wide apart, as with MPNet's few large neurons, roundings that fall the other way move outputs
    # as far as rounding itself does.
    return max(allowed, _difference(expected, exact)) if rounds_inputs(precision) else allowed


def random_inputs(source: Checkpoint, max_length: int, *, token_types: bool, seed: int = 0) -> tuple[Arrays, ...]:
    """Return a padded batch of mixed lengths, with two segments each if types are told apart, and one long text."""
    # Lengths side by side, so that a graph which heeds padding is found, and the longest, for the last position.
    longest = min(max_length, _MOST_TOKENS)
    generator, types = np.random.default_rng(seed), source.sizes.types if token_types else 1
    batches = []
    for lengths in ([length for length in (2, 5, 17, 40) if length <= longest], [longest]):
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
        segments = generator.integers(0, types, mask.shape)
        ids = generator.integers(0, source.sizes.vocabulary, mask.shape)
        inputs = {"input_ids": ids * mask, "attention_mask": mask}
        batches.append({**inputs, "token_type_ids": segments * mask} if types > 1 else inputs)
    return tuple(batches)
