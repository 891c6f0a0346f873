"""Finds how graphs round the input of every product, from texts that run through the reference."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import numpy as np

from edgebert.engines.session import default_way, open_session
from edgebert.errors import ExportError
from edgebert.exporters import reference
from edgebert.exporters.bundle_writer import GraphWriter
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.quality import Evaluator
from edgebert.exporters.quantize import InputRounding, InputRoundings, Range
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Arrays, Text
from edgebert.measuring.evaluation import results_on
from edgebert.subnet import Subnet
from edgebert.tasks.task import Outputs, Task

# Some columns of trained networks are a hundred times as large as others, for a full stop or the last token of a text:
# one range for all would round most of the others to 0 (docs/log.md). At most one of so many is an outlier, so that
# float32 costs little, and only if it is so many times as large as the largest column that may be none.
_COLUMNS_AN_OUTLIER = 128
_OUTLIER = 3
# A share of the outputs; of vectors it is a cosine of 0.995. Up to it outliers, which cost 6 to 9 %, are not needed
# (docs/log.md).
_HARMLESS = 0.1

_MOST_TEXTS = 128
# Drawn at random from what enters a unit: 65,536 values in all, so that memory does not grow with the texts' lengths.
_VALUES_A_TEXT = 512
# Per cent of the values that are cut off at each end.
_PERCENTILE = 0.01
# Parts of the whole range that are tried for the least error.
_SHRINKS = np.linspace(1, 0.3, 29)


def calibration_texts(data: str | Path | None) -> list[Text]:
    """Return some texts of a data file, always the same ones; an EdgeBertError says that there is none, or why not."""
    if data is None:
        raise ExportError("the precision int8-static needs texts of its task; give a data file with --calibrate")
    texts = (example.input for example in read_examples(data))
    # By their hashes: in files that are sorted by label, the first ones would be of one label.
    return heapq.nsmallest(_MOST_TEXTS, texts, key=lambda text: sha1(repr(text).encode()).digest())


def find_outliers(source: Checkpoint, subnet: Subnet, tensors: dict[str, Array], inputs: Arrays) -> InputRoundings:
    """Return the outliers among the inputs of every product of a sub-network, for graph inputs (batch, length).

    There are none where rounding to one range does little harm. `tensors` are as they are stored.
    """
    found: dict[str, InputRounding] = {}

    def see(unit: str, x: Array) -> Array:
        found[unit] = InputRounding(_outliers(np.abs(x).reshape(-1, x.shape[-1]).max(axis=0)))
        return x

    def to_one_range(_: str, x: Array) -> Array:
        return InputRounding().rounded(x)

    exact = reference.outputs(subnet, source, source.tensors, inputs, see)
    rounded = reference.outputs(subnet, source, tensors, inputs, to_one_range)
    is_harmless = _relative_error(source.task, rounded, exact, inputs) <= _HARMLESS
    return dict.fromkeys(found, InputRounding()) if is_harmless else found


def _relative_error(task: Task, found: Outputs, right: Outputs, inputs: Arrays) -> float:
    """Return the root mean square of what outputs are off, of the worst by its name, as a share of their own."""
    of_tokens = [task.without_padding(outputs, inputs["attention_mask"]) for outputs in (found, right)]
    pairs = [[outputs[name].astype(np.float64) for outputs in of_tokens] for name in right]
    return max(float(np.linalg.norm(one - other) / (np.linalg.norm(other) or 1.0)) for one, other in pairs)


def _outliers(largest: Array) -> tuple[int, ...]:
    """Return the columns that are outliers, of the largest absolute value (columns,) of each."""
    most = len(largest) // _COLUMNS_AN_OUTLIER
    order = np.argsort(-largest, kind="stable")
    return tuple(sorted(int(column) for column in order[:most] if largest[column] > _OUTLIER * largest[order[most]]))


def calibrated(
    graphs: GraphWriter,
    subnet: Subnet,
    roundings: InputRoundings,
    tensors: dict[str, Array],
    texts: Sequence[Arrays],
    evaluator: Evaluator | None,
) -> InputRoundings:
    """Return roundings with ranges for a sub-network's activations: those of the best quality, where that is measured,
    then those whose outputs for the calibration texts are nearest to what they are without rounding."""
    observed = _Observed(roundings)
    exact = [reference.outputs(subnet, graphs.source, tensors, inputs, observed.see) for inputs in texts]

    def rank(choice: InputRoundings) -> tuple[float, float]:
        # One flavor is enough, since both round alike: the one that is fast on the CPU.
        exported, way = graphs.add(subnet, choice, ["fused"]), default_way()
        session = open_session(graphs.bundle, exported, way)
        pairs = zip((session.run(inputs) for inputs in texts), exact, strict=True)
        errors = [np.abs(found[name] - right[name]).mean() for found, right in pairs for name in right]
        quality = 0.0
        if evaluator is not None:
            quality, *_ = evaluator.metrics(results_on(evaluator.file, graphs.bundle, exported, way)).values()
        return quality, -float(np.mean(errors))

    # All are tried: which way of choosing is best differs from sub-network to sub-network.
    return max(observed.choices(), key=rank)


class _Observed:
    """What entered each unit's product, without its outliers: the whole range, and a sample of the values."""

    def __init__(self, roundings: InputRoundings) -> None:
        self._roundings = roundings
        self._whole: dict[str, Range] = {}
        self._samples: dict[str, list[Array]] = {}

    def see(self, unit: str, x: Array) -> Array:
        """Note the input of a unit and return it as it is: a `Rounding` of the reference."""
        rest = self._roundings[unit].rest(x)
        found, before = Range.of(rest), self._whole.get(unit, Range(0, 0))
        self._whole[unit] = Range(min(found.low, before.low), max(found.high, before.high))
        # Units that read the same values see the same sample of them, so that one product can serve them all.
        drawn = np.random.default_rng(x.size).choice(rest.ravel(), _VALUES_A_TEXT)
        self._samples.setdefault(unit, []).append(drawn)
        return x

    def choices(self) -> Iterator[InputRoundings]:
        """Yield each unit's range: from end to end, without the rarest values, and with the least squared error."""
        samples = {unit: np.concatenate(drawn) for unit, drawn in self._samples.items()}
        yield self._with(self._whole)
        ends = [_PERCENTILE, 100 - _PERCENTILE]
        yield self._with({unit: Range.of(np.percentile(sample, ends)) for unit, sample in samples.items()})
        yield self._with({unit: _of_least_error(whole, samples[unit]) for unit, whole in self._whole.items()})

    def _with(self, ranges: Mapping[str, Range]) -> InputRoundings:
        return {unit: replace(self._roundings[unit], range=found) for unit, found in ranges.items()}


def _of_least_error(whole: Range, sample: Array) -> Range:
    parts = [Range(whole.low * float(part), whole.high * float(part)) for part in _SHRINKS]
    return min(parts, key=lambda part: float(np.square(part.rounded(sample) - sample).mean()))
